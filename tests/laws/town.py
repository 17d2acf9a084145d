"""A small company: a portal, a branch's sheets, a base of accounting, and the road between them."""

from __future__ import annotations

import pickle
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from mappings import Mappings, load
from pipelines import laws, sync
from pipelines.deploy import reads_of
from pipelines.documents.gate import GateOutcome, gate
from pipelines.feedback.write import write_back
from pipelines.laws import Law
from pipelines.operations.carried import Carried
from pipelines.operations.plan import Planned
from pipelines.raw.load import Batch, read_source
from pipelines.refresh import Outcome
from pipelines.sync import Road
from pipelines.table import tables
from tests.laws.books import Books, ref
from tests.laws.portal import Portal, Sheets
from tests.laws.quick import QuickWarehouse

DEMO = Path(__file__).parents[2] / "mappings" / "demo"
TODAY = date(2026, 4, 20)
ENVIRON = {
    "SVERKA_BITRIX24_URL": "https://portal/rest/1/k/",
    "SVERKA_ONEC_URL": "https://base/",
    "SVERKA_DROP_FOLDER": "/in",
}
HEADER = """      Date: {from: document_date, as: time}
      Организация_Key: {from: organization_key, as: key}
      Контрагент_Key: {from: counterparty_key, as: key}
      ДоговорКонтрагента_Key: {from: contract_key, as: key}
      ВалютаДокумента_Key: {from: currency_key, as: key}
      Основание_Key: {from: base_key, as: key}
      СуммаДокумента: {from: amount, as: money}
      Комментарий: comment
"""
FOLLOWS = f"""  return:
    entity: return
    post: true
    fields:
{HEADER}    lines:
      - into: Товары
        fields:
          LineNumber: {{from: line_number, as: text}}
          Номенклатура_Key: {{from: product_key, as: key}}
          Количество: {{from: quantity, as: quantity}}
          Цена: {{from: price, as: quantity}}
          Сумма: {{from: amount, as: money}}
          СтавкаНДС: vat
          СуммаНДС: {{from: vat_amount, as: money}}
  correction:
    entity: correction
    post: true
    fields:
{HEADER}    lines:
      - into: Товары
        fields:
          LineNumber: {{from: line_number, as: text}}
          Номенклатура_Key: {{from: product_key, as: key}}
          Количество: {{from: quantity, as: quantity}}
          КоличествоДоИзменения: {{from: quantity_before, as: quantity}}
          Сумма: {{from: amount, as: money}}
          СуммаДоИзменения: {{from: amount_before, as: money}}
  realization:
    entity: realization
    post: true
    policy: {{}}
"""
FOLLOWS_READ = (
    "".join(
        f"""    - from: {kind}
      deleted: DeletionMark
      fields:
        kind: {{constant: {kind}}}
        number: Number
        document_date: {{from: Date, as: date, none: ["0001-01-01T00:00:00"]}}
        is_posted: Posted
        counterparty_key: {{from: Контрагент_Key, ref: core.accounting_counterparty, none: *empty}}
        contract_key: {{from: ДоговорКонтрагента_Key, ref: core.accounting_contract, none: *empty}}
        organization_key: {{from: Организация_Key, ref: core.accounting_organization, none: *empty}}
        currency_key: {{from: ВалютаДокумента_Key, ref: core.accounting_currency, none: *empty}}
        amount: {{from: СуммаДокумента, as: money}}
        comment: Комментарий
        version: DataVersion
"""
        for kind in ("return", "correction")
    )
    + """
  ledger.document_line:
    - from: return
      each: Товары
      part: goods
      key: LineNumber
      deleted: /DeletionMark
      fields:
        document_key: {parent: true}
        part: {constant: goods}
        position: {from: LineNumber, as: integer}
        product_key: {from: Номенклатура_Key, ref: core.accounting_product, none: *empty}
        quantity: {from: Количество, as: quantity}
        price: {from: Цена, as: quantity}
        amount: {from: Сумма, as: money}
        vat: СтавкаНДС
        vat_amount: {from: СуммаНДС, as: money}
"""
)
# What a person may change in the mapping files, and back: by name the file, the words, other words.
REWORDINGS = {
    "alias": ("bitrix24.yaml", "match: [code, name]",
              "match: [code, name]\n  aliases:\n    - {name: Коврик старый, is: Коврик}"),
    "stage": ("bitrix24.yaml", "{pipeline: \"0\", stage: [PREPAYMENT_INVOICE, EXECUTING], documents: [invoice], due_days: 5}",
              ("{pipeline: \"0\", stage: PREPAYMENT_INVOICE, documents: [], why: too early}\n"
              "  - {pipeline: \"0\", stage: EXECUTING, documents: [invoice, realization], due_days: 7}")),
    "account": ("onec.yaml", 'СчетУчета_Key: {account: "41.01"}', 'СчетУчета_Key: {account: "41.99"}'),
    "stock": ("onec.yaml", "      Артикул: {from: code, empty: \"\"}",
              "      Артикул: {from: code, empty: \"\"}\n      Склад_Key: {warehouse: Новый склад}"),
    "follows": ("onec.yaml", "  realization:\n    entity: realization\n    post: true\n", FOLLOWS),
    "follows_read": ("onec.yaml", "  ledger.document_line:\n", FOLLOWS_READ),
    "corrected": ("onec.yaml", "    policy: {}\n", "    policy: {posted: {amount: correction, lines: correction, other: leave}}\n"),
    "reversed": ("onec.yaml", "    policy: {}\n", "    policy: {posted: {\"*\": reversal, cancelled: reversal}}\n"),
    "updated": ("onec.yaml", "    policy: {}\n", "    policy: {posted: {\"*\": update}}\n"),
    "mixed": ("onec.yaml", "    policy: {}\n",
              ("    policy: {posted: {date: update, due_on: update, comment: update, amount: correction, lines: correction,"
              " counterparty: reversal, contract: reversal, cancelled: reversal, \"*\": ask}, paid: {\"*\": ask},"
              " closed: {amount: correction, lines: correction, \"*\": ask}}\n")),
    "by_sum": ("onec.yaml", "approval: auto", "approval: {auto_up_to: 2500}"),
    "vat": ("onec.yaml", "{rate: 10, value: НДС10}", "{rate: 10, value: НДС10, to: 2026-02-01}"),
}  # fmt: skip

POLICIES = ("corrected", "reversed", "updated", "mixed")
"""What becomes of a posted document: says something only where documents follow their deals, and one at a time."""

_INVOICE = "    entity: invoice\n    post: false\n"
_GOODS = "    lines:\n      - into: Товары\n        when: "
_PARTY = "    entity: counterparty\n    fields:\n"
# Whose fields are once they are written: what a company settles, and does not change to and fro.
OWNINGS = {
    "owned_invoice": ("onec.yaml", _INVOICE, f"""{_INVOICE}    owner: {{date: accounting, comment: accounting, amount: crm, lines: crm}}
    undone: {{deleted: ask, refunded: ask}}
"""),
    "owned_sale": ("onec.yaml", _GOODS, f"""    owner: {{"*": state}}
    undone: {{unposted: post, deleted: ask}}
{_GOODS}"""),
    "asked_sale": ("onec.yaml", _GOODS, f"""    owner: {{"*": crm}}
    undone: {{unposted: ask, deleted: ask, refunded: ask}}
{_GOODS}"""),
    "owned_name": ("onec.yaml", _PARTY, _PARTY.replace("fields", "owner: {name: crm}\n    fields")),
}  # fmt: skip


def inn(number: int) -> str:
    """A valid INN of a legal entity out of a small number."""
    nine = f"770{number:06d}"
    check = sum(int(d) * w for d, w in zip(nine, (2, 4, 10, 3, 5, 9, 4, 6, 8), strict=True)) % 11 % 10
    return f"{nine}{check}"


Worded = tuple[
    tuple[str, tuple[str, str, str]], ...
]  # rewordings in the order in which they are made, and what they say


def worded(reworded: frozenset[str]) -> Worded:
    """What these rewordings say now: tests add some of their own, and two may have chosen one name."""
    known = {**REWORDINGS, **OWNINGS}
    policy = next((name for name in POLICIES if {name, "follows"} <= reworded), "")
    return tuple(
        (name, words)
        for name, words in known.items()
        if name in reworded and (name not in POLICIES or name == policy)
    )


def mappings_of(folder: Path, reworded: frozenset[str]) -> Mappings:
    """The demo company's files, with these rewordings. One request at a time, so that faults fall in order."""
    return _mappings(folder, reworded, worded(reworded))


@cache
def _mappings(folder: Path, reworded: frozenset[str], words: Worded) -> Mappings:
    # The place is part of every rule's name: the same wherever the folder is. No name has a plus in it.
    place = folder / f"{zlib.crc32(repr(words).encode()):08x}" / ("+".join(sorted(reworded)) or "plain")
    shutil.copytree(DEMO, place)
    one = ("onec.yaml", "profile: accounting_3", "profile: accounting_3\n  concurrency: 1")
    for name, (file, old, new) in (*words, ("one", one)):
        text = (place / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file} of the demo company no longer says {old!r} once, for {name}"
        (place / file).write_text(text.replace(old, new), encoding="utf-8")
    return load(place, ENVIRON)


@dataclass
class Done:
    """What one sync did."""

    batches: list[Batch] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    gate: GateOutcome | None = None
    planned: Planned = field(default_factory=Planned)
    carried: Carried = field(default_factory=Carried)
    laws: list[Law] = field(default_factory=list)
    written_back: list[str] = field(default_factory=list)

    def scopes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for outcome in self.outcomes:
            found[outcome.table] = found.get(outcome.table, 0) + outcome.scopes
        return found


class Town:
    def __init__(self, warehouse: QuickWarehouse, folder: Path, held: bytes = b"") -> None:
        """A company newly founded, or one whose systems hold what `held()` of another said."""
        self.warehouse, self.folder = warehouse, folder
        self.portal, self.sheets, self.books = Portal(), Sheets(), Books()
        self.reworded: frozenset[str] = frozenset()
        if held:
            self.portal, self.sheets, self.books, self.reworded = pickle.loads(held)
        else:
            found(self)
        self.remap()

    def held(self) -> bytes:
        """What its systems hold now, and how its mapping files are reworded."""
        return pickle.dumps((self.portal, self.sheets, self.books, self.reworded))

    def remap(self, *names: str) -> None:
        """Change the mapping files (each name there and back) and deploy them."""
        self.reworded = self.reworded.symmetric_difference(names)
        self.road = Road(self.warehouse, mappings_of(self.folder, self.reworded), "laws")
        self.road._open = {"bitrix24": self.portal, "branch": self.sheets, "onec": self.books}
        self.books.base_paths = self.road.accounting.base_paths()
        self.road.__dict__["reads"] = _reads(self.folder, self.reworded, worded(self.reworded))
        sync.prepare(self.road)

    # ---- a sync, step by step -----------------------------------------------------------------

    def sync(self, *, write: bool = True) -> Done:
        done = Done()
        self.read(done)
        self.derive(done)
        done.planned = sync.plan_operations(self.road)
        if write:
            done.carried = sync.carry_operations(self.road)
        self.settle(done)
        if write:
            done.written_back = list(write_back(self.road, TODAY))
        return done

    def read(self, done: Done) -> None:
        self.portal.tick(5)
        self.sheets.now = self.portal.now
        for system in self.road.mappings.systems:
            if system.role == "crm":
                done.batches += self._read(system.name, system.entities)
        done.batches += self._read("onec", [e for e in self.road.accounting.entities if e in sync.CATALOGUES])

    def derive(self, done: Done) -> None:
        """Core and documents, with the gate in its place."""
        done.outcomes += sync.refresh_stage(self.road, "core")
        for table in tables().values():
            if table.name == "documents.failure":
                with self.warehouse.transaction() as conn:
                    done.gate = gate(conn, today=TODAY)
                done.outcomes.append(done.gate.outcome)
            elif table.stage == "documents":
                done.outcomes.append(sync.refresh_table(self.road, table))

    def settle(self, done: Done) -> None:
        """What accounting holds, compared."""
        done.batches += self._read(
            "onec", [e for e in self.road.accounting.entities if e not in sync.CATALOGUES]
        )
        done.outcomes += sync.refresh_stage(self.road, "ledger")
        done.laws = laws.check(self.warehouse)
        done.outcomes += sync.refresh_stage(self.road, "feedback")

    def _read(self, name: str, entities: Sequence[str]) -> list[Batch]:
        system = self.road.mappings.system(name)
        return read_source(
            self.warehouse, self.road.source(system), entities=list(entities), now=self.portal.now, run_id="laws",
            echo={kind: system.echo_fields(kind) for kind in ("deal", "company")},
            watch=sync.watched(self.road, system),
        )  # fmt: skip

    def rebuild(self) -> list[Outcome]:
        """Every derived table from nothing; what is not quiet was wrong before."""
        outcomes = sync.rebuild(self.road)
        with self.warehouse.transaction() as conn:
            outcomes.append(gate(conn, today=TODAY, everything=True).outcome)
        return [outcome for outcome in outcomes if not outcome.quiet]

    # ---- looking at it ------------------------------------------------------------------------

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(query, parameters)

    def logged(self) -> int:
        return int(self.warehouse.scalar("select coalesce(max(seq), 0) from ops.change_log"))

    def contents(
        self, *, stages: Sequence[str] = ("core", "documents", "ledger"), without: Sequence[str] = ()
    ) -> dict[str, list[Any]]:
        """Every row of every table of these stages, in the order of its key."""
        held = {}
        with self.warehouse.transaction() as conn:
            for table in tables().values():
                if table.stage in stages and not table.is_view:
                    columns = ", ".join(c.name for c in table.columns if c.name not in without)
                    held[table.name] = _select(
                        conn, f"select {columns} from {table.name} order by {table.key}"
                    )
        return held


@cache
def _reads(folder: Path, reworded: frozenset[str], words: Worded) -> Any:
    return reads_of(_mappings(folder, reworded, words))


def _select(conn: Any, statement: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = conn.execute(statement).fetchall()
    return found


@contextmanager
def database(server_url: str, template: str, name: str) -> Iterator[QuickWarehouse]:
    """A database of its own, a copy of a template with everything deployed."""
    warehouse = copied(server_url, template, name)
    try:
        yield warehouse
    finally:
        warehouse.close()
        with psycopg.connect(server_url, autocommit=True) as conn:
            conn.execute(f"drop database {name} with (force)")


def copied(server_url: str, template: str, name: str) -> QuickWarehouse:
    """A copy of a database that nothing is connected to."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template} strategy file_copy")
    return QuickWarehouse(f"{server_url.rsplit('/', 1)[0]}/{name}")


# ---- how it begins ----------------------------------------------------------------------------


def found(town: Town) -> None:
    _found_books(town.books)
    _found_portal(town.portal)
    sheet = town.sheets
    for key, row in {
        "Б-1/Стол": _sale("Б-1", "Стол", 'ООО "Ромашка"', inn(1), "Отгружено"),
        "Б-1/Доставка": _sale("Б-1", "Доставка", 'ООО "Ромашка"', inn(1), "Отгружено", price="300,00"),
        "Б-2/Стол": _sale("Б-2", "Стол", "ЗАО Сосна", inn(9), "Счёт выставлен"),
    }.items():
        sheet.put("sale", key, row)


def _sale(
    deal: str, product: str, client: str, number: str, stage: str, price: str = "1 200,50"
) -> dict[str, Any]:
    return {"№ сделки": deal, "Товар": product, "Клиент": client, "ИНН": number, "КПП": "770101001", "Кол-во": "2",
            "Цена": price, "Стадия": stage, "Валюта": "руб", "Дата закрытия": "10.03.2026", "Менеджер": "Орлова",
            "Ставка НДС": "22%", "Сумма": None}  # fmt: skip


def _found_books(books: Books) -> None:
    catalogues: list[tuple[str, dict[str, Any]]] = [
        ("organization", {"Description": "Наша фирма", "ИНН": inn(500)}),
        ("currency", {"Code": "643", "Description": "RUB"}),
        ("currency", {"Code": "840", "Description": "USD"}),
        ("unit", {"Code": "796", "Description": "шт"}),
        ("unit", {"Code": "876", "Description": "усл"}),
        ("warehouse", {"Description": "Основной склад", "IsFolder": False}),
        *(("account", {"Code": code, "Description": code})
          for code in ("51", "62.01", "62.02", "90.01.1", "90.02.1", "90.03", "68.02", "41.01", "57.01", "60.01", "66.03",
                       "68.90")),
        ("counterparty", {"Code": "1", "Description": "Ромашка ООО", "НаименованиеПолное": 'ООО "Ромашка"',
                          "ИНН": inn(1), "КПП": "770101001", "IsFolder": False}),
        ("counterparty", {"Code": "2", "Description": "Прочие ООО", "НаименованиеПолное": 'ООО "Прочие"',
                          "ИНН": inn(77), "КПП": "", "IsFolder": False}),
        ("product", {"Code": "1", "Артикул": "ST-1", "Description": "Стол", "Услуга": False, "IsFolder": False}),
        ("product", {"Code": "2", "Артикул": "", "Description": "Доставка", "Услуга": True, "IsFolder": False}),
    ]  # fmt: skip
    for number, (kind, fields) in enumerate(catalogues, start=1):
        books.save(kind, ref(number), fields)
    dollar = next(key for key, row in books.all("currency").items() if row["Code"] == "840")
    for date_, rate in (("2026-01-01", "80.1234"), ("2026-03-05", "81.5")):
        books.save("currency_rate", f"{date_}T00:00:00:{dollar}",
                   {"Period": f"{date_}T00:00:00", "Валюта_Key": dollar, "Курс": rate, "Кратность": "1"})  # fmt: skip


def _found_portal(portal: Portal) -> None:
    for position, (entity, status, pipeline, semantics) in enumerate(
        [
            *(("DEAL_STAGE", code, "0", None) for code in ("NEW", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE")),
            ("DEAL_STAGE", "WON", "0", "S"), ("DEAL_STAGE", "LOSE", "0", "F"), ("DEAL_STAGE", "ODD", "0", None),
            ("DEAL_STAGE_1", "C1:NEW", "1", None), ("DEAL_STAGE_1", "C1:WON", "1", "S"),
        ]
    ):  # fmt: skip
        portal.put("stage", f"{entity}:{status}", {"ENTITY_ID": entity, "STATUS_ID": status, "CATEGORY_ID": pipeline,
                                                   "NAME": status.title(), "SORT": str(position), "SEMANTICS": semantics})  # fmt: skip
    portal.put("lead_source", "WEB", {"ENTITY_ID": "SOURCE", "STATUS_ID": "WEB", "NAME": "Сайт"})
    portal.put("vat_rate", "1", {"id": 1, "rate": 22})
    for key, name in (("1", "Анна"), ("2", "Борис")):
        portal.put(
            "employee",
            key,
            {"ID": key, "NAME": name, "LAST_NAME": "Ким", "EMAIL": f"e{key}@x.ru", "ACTIVE": True},
        )
    for key, name, code, kind in (
        ("11", "Стол", "ST-1", 1),
        ("12", "Коврик", "", 1),
        ("13", "Доставка", "", 7),
        ("14", "Лампа", "LM", 1),
    ):
        portal.put("product", key, {"id": int(key), "iblockId": 1, "name": name, "code": code, "xmlId": code, "measure": 5,
                                    "type": kind, "vatId": 1, "active": "Y"})  # fmt: skip
        portal.put(
            "product_price",
            key,
            {"id": int(key), "productId": int(key), "catalogGroupId": 1, "price": 100, "currency": "RUB"},
        )
    for number, name in ((1, "Ромашка"), (2, "Вектор"), (3, "Гранит")):
        add_company(portal, number, name)
    for number in range(3):
        add_deal(portal, company=str(21 + number), stage=("WON", "EXECUTING", "FINAL_INVOICE")[number])


def add_company(portal: Portal, number: int, name: str, tax_number: str | None = None) -> str:
    """A company with its requisites; `number` decides its INN unless one is given."""
    key = str(20 + number) if number < 10 else portal.number()
    portal.put("company", key, {"id": int(key), "title": f'ООО "{name}"', "isMyCompany": "N", "assignedById": 1,
                                "createdTime": "2026-01-10T10:00:00+03:00", "fm": []})  # fmt: skip
    add_requisite(portal, key, name, inn(number) if tax_number is None else tax_number)
    return key


def add_requisite(portal: Portal, company: str, name: str, tax_number: str) -> str:
    key = portal.number()
    portal.put("requisite", key, {"ID": key, "ENTITY_ID": company, "ENTITY_TYPE_ID": "4", "RQ_COMPANY_NAME": f'ООО "{name}"',
                                  "RQ_INN": tax_number, "RQ_KPP": "770101001", "ACTIVE": "Y"})  # fmt: skip
    return key


def add_deal(
    portal: Portal,
    company: str,
    stage: str = "WON",
    currency: str = "RUB",
    lines: int = 2,
    price: str = "1000.10",
) -> str:
    key = portal.number()
    pipeline = "1" if stage.startswith("C1:") else "0"
    portal.put("deal", key, {
        "id": int(key), "title": f"Сделка {key}", "categoryId": pipeline, "stageId": stage, "opportunity": 0, "currencyId": currency,
        "companyId": int(company), "contactId": 0, "assignedById": 1, "sourceId": "WEB", "closed": "Y",
        "createdTime": "2026-02-10T10:00:00+03:00", "closedate": "2026-03-10T03:00:00+03:00",
    })  # fmt: skip
    for line in range(lines):
        product = 11 + line % 3
        portal.put_line(key, portal.number(), productId=product, productName=_name_of(portal, str(product)),
                        price=price, quantity=1 + line, taxRate=22, measureName="шт", sort=10 * (line + 1))  # fmt: skip
    return key


def _name_of(portal: Portal, product: str) -> str:
    """Also of one that has been deleted: a line keeps its name."""
    row = portal.all("product").get(product) or portal.bin["product", product]
    return str(row["name"])
