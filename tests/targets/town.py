"""A sheet of sales and the stand-in of one accounting system: what a test types in, and what people do in accounting.

Accounting is read and changed here by the stand-in's own control panel, or as its people would over its protocol, never
through our connectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from mappings import load
from pipelines import sync
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.chaos.targets import Held, environment_of, held_by, write_mappings
from tests.sandbox_process import Running, running
from tests.whole_road import Synced, environment, rest, sync_road

TODAY: Final = date(2026, 3, 16)
HEAD: Final = (
    "№ сделки", "Дата", "Клиент", "Реквизиты", "ИНН", "КПП", "Валюта", "Стадия", "Сумма сделки", "Сумма с НДС", "Скидка сделки",
    "Скидка сделки %", "Товар", "Ед", "Кол-во", "Цена", "Скидка %", "Скидка", "Ставка НДС", "Цена с НДС",
)  # fmt: skip
USUAL: Final = {
    "Клиент": 'ООО "Ромашка"', "ИНН": "7707083893", "КПП": "", "Валюта": "RUB", "Стадия": "Отгружено", "Сумма с НДС": "да",
    "Товар": "Стол", "Ед": "шт", "Кол-во": "1", "Цена": "1000,10", "Ставка НДС": "22", "Цена с НДС": "да",
    "Дата": TODAY.strftime("%d.%m.%Y"),
}  # fmt: skip
KINDS: Final = {"onec": "realization", "sap": "order", "quickbooks": "realization"}
"""The document of a sale that is written into each."""
SETS: Final = {
    "counterparty": "Catalog_Контрагенты", "realization": "Document_РеализацияТоваровУслуг",
    "return": "Document_ВозвратТоваровОтПокупателя",
}  # fmt: skip
_MAPPING: Final = Path(__file__).parent / "sheet.yaml"


@dataclass
class Town:
    target: str
    sandbox: Running
    road: Road
    warehouse: Warehouse
    drop: Path
    files: int = 0
    sold: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    # ---- What managers do ---------------------------------------------------------------------

    def sell(self, deal: str, *lines: Mapping[str, str], **cells: str) -> None:
        """State a deal, or state it anew. Cells that are not named are the usual ones."""
        rows = [{**USUAL, **cells, **line, "№ сделки": deal} for line in lines or ({},)]
        for row in rows:
            row["Реквизиты"] = f"{row['ИНН']}/{row['КПП']}"
        self.sold[deal] = rows
        self.files += 1
        text = [";".join(HEAD), *(";".join(row.get(name, "") for name in HEAD) for row in rows)]
        (self.drop / f"Продажи {self.files:03}.csv").write_text("\r\n".join(text), encoding="utf-8")
        rest(self.drop, 3600.0 - self.files)

    def resell(self, deal: str, **cells: str) -> None:
        """The same deal with these cells in all its rows."""
        self.sell(deal, *({**row, **cells} for row in self.sold[deal]))

    # ---- What we do ---------------------------------------------------------------------------

    def sync(self, times: int = 1) -> Synced:
        for _ in range(times):
            done = sync_road(self.road)
        return done

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(query, parameters)

    def operations(self, deal: str, *states: str) -> list[tuple[str, str, str, str]]:
        """kind, action, state and reason of what is planned of a deal, in order."""
        return self.rows(
            "select kind, action, state, coalesce(reason, '') from ops.operation"
            " where subject = %s and (%s::text[] = '{}' or state = any(%s)) order by planned_at, kind, action",
            [f"sheet:{deal}", list(states), list(states)],
        )

    def held(self, deal: str) -> dict[str, tuple[str, str]]:
        """By check why a deal is held, in English and in Russian."""
        return {
            check: (reason, reason_ru)
            for check, reason, reason_ru in self.rows(
                "select check_name, reason, reason_ru from documents.held where deal_id = %s",
                [f"sheet:{deal}"],
            )
        }

    def key(self, deal: str, kind: str = "") -> str:
        """Our key of the document of a deal."""
        ((key,),) = self.rows(
            "select key from ops.operation where subject = %s and kind = %s and action = 'create' order by planned_at desc limit 1",
            [f"sheet:{deal}", kind or KINDS[self.target]],
        )
        return str(key)

    def number(self, deal: str, kind: str = "") -> str:
        """What accounting calls the document of a deal: its own number of it, else our key."""
        key = self.key(deal, kind)
        found = self.rows(
            "select vendor_key from ops.alias where our_key = %s and system = %s", [key, self.target]
        )
        return str(found[0][0]) if found else key

    def variances(self, deal: str) -> list[tuple[str, str, Decimal, str, str]]:
        """measure, reason, amount and both sentences of what differs about a deal."""
        return self.rows(
            "select measure, reason, amount, sentence, sentence_ru from ledger.variance where deal_id = %s order by measure, reason",
            [f"sheet:{deal}"],
        )

    def questions(self, deal: str) -> list[tuple[str, str, str, str]]:
        """id, kind and both wordings of what people are asked about a deal."""
        return self.rows(
            "select question_id::text, kind, told, told_ru from ops.question"
            " where deal_id = %s and answer is null and withdrawn_at is null order by asked_at",
            [f"sheet:{deal}"],
        )

    # ---- What accountants do ------------------------------------------------------------------

    def documents(self, deal: str) -> list[Held]:
        """Living documents of a deal, as accounting itself shows them."""
        found = held_by(self.target, self.sandbox.control)
        if self.target == "sap":
            keys = {
                key
                for (key,) in self.rows("select key from ops.operation where subject = %s", [f"sheet:{deal}"])
            }
            return [one for one in found if one.key in keys]
        return [one for one in found if one.deal == f"sheet:{deal}"]

    def do(self, **said: Any) -> Any:
        """One act of a person in accounting; the stand-in's own words."""
        path = "onec/do" if self.target == "onec" else f"accounting/{self.target}/do"
        answer = self.sandbox.control(path, {"where": "onec", **said} if self.target == "onec" else said)
        assert "error" not in answer, answer
        return answer

    def close(self, until: date | None) -> None:
        path = "closed" if self.target == "onec" else f"accounting/{self.target}/closed"
        self.sandbox.control(path, {"until": until.isoformat() if until else None})

    def odata(self, method: str, path: str, body: Any = None) -> Any:
        """1C as its people see it."""
        onec = self.sandbox.info["onec"]
        answer = httpx.request(
            method, onec["odata"] + path, params={"$format": "json"}, json=body,
            auth=(onec["user"], onec["password"]), timeout=60,
        )  # fmt: skip
        answer.raise_for_status()
        return msgspec.json.Decoder(float_hook=Decimal).decode(answer.content) if answer.content else None

    def enter_party(self, name: str, tax_number: str, kpp: str = "", **more: Any) -> str:
        """A counterparty that an accountant enters by hand; accounting's key of it."""
        match self.target:
            case "onec":
                body = {"Description": name, "НаименованиеПолное": name, "ИНН": tax_number, "КПП": kpp}
                return str(self.odata("POST", SETS["counterparty"], {**body, **more})["Ref_Key"])
            case "sap":
                return str(self.do(do="add", what="partner", name=name, inn=tax_number)["partner"])
            case _:
                body = {"DisplayName": name, "CompanyName": name, "ResaleNum": tax_number, **more}
                return str(self.do(do="add", kind="Customer", body=body)["document"])


@contextmanager
def town(
    target: str,
    warehouse: Warehouse,
    folder: Path,
    *replaced: tuple[str, str],
    crm: Sequence[tuple[str, str]] = (),
) -> Iterator[Town]:
    """A company without a past. `replaced`: what stands otherwise in the mapping of accounting, `crm` in that of the sheet."""
    maps, drop = folder / "maps", folder / "drop"
    drop.mkdir(parents=True)
    write_mappings(target, maps)
    (maps / "bitrix24.yaml").unlink()
    due = "order, realization" if target == "sap" else "realization"
    text = _MAPPING.read_text(encoding="utf-8").replace("documents: [realization]", f"documents: [{due}]")
    (maps / "sheet.yaml").write_text(_with(text, crm), encoding="utf-8")
    accounting = maps / f"{target}.yaml"
    accounting.write_text(_with(accounting.read_text(encoding="utf-8"), replaced), encoding="utf-8")
    with running("--deals", "10", "--no-limits") as sandbox:
        given = environment_of(target, sandbox.control)
        with environment({**given, "SVERKA_MAPPINGS": str(maps), "SVERKA_DROP_FOLDER": str(drop)}):
            road = Road(warehouse, load(maps), "targets")
            with warehouse.kept(), closing(road):
                sync.prepare(road)
                yield Town(target, sandbox, road, warehouse, drop)


def _with(text: str, replaced: Sequence[tuple[str, str]]) -> str:
    for old, new in replaced:
        assert text.count(old) == 1, f"the mapping no longer says {old!r} once"
        text = text.replace(old, new)
    return text
