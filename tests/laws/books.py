"""An accounting system in memory with 1C's shapes: keys of ours, versions, posting, entries, balances.

Faults come from a list: each request that writes takes the next one. `Died` is the carrier's own death.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

import msgspec

from resources.connector import (
    Capabilities,
    Change,
    Conflict,
    Entity,
    Exists,
    Finding,
    Lock,
    Page,
    Record,
    Refused,
    SourceError,
    Uncertain,
    Written,
)

Payload = dict[str, Any]
Side = tuple[str, str]  # of an entry: code of the account, counterparty
EMPTY: Final = "00000000-0000-0000-0000-000000000000"
COUNTERPARTY: Final = "StandardODATA.Catalog_Контрагенты"
DOCUMENTS: Final = ("invoice", "realization", "correction", "return", "payment", "refund")
CATALOGUES: Final = (
    "organization",
    "currency",
    "unit",
    "account",
    "warehouse",
    "counterparty",
    "contract",
    "product",
)
SETTLES: Final = {
    "payment": "ОплатаПокупателя",
    "refund": "ВозвратПокупателю",
}  # ВидОперации of buyers' money
# Of everybody else's, by the account that it is booked on; the last of each has no counterparty.
OTHERS: Final = {
    "payment": {
        "ВозвратОтПоставщика": "60.01",
        "РасчетыПоКредитамИЗаймам": "66.03",
        "ПереводСДругогоСчета": "57.01",
    },
    "refund": {
        "ОплатаПоставщику": "60.01",
        "РасчетыПоКредитамИЗаймам": "66.03",
        "ПеречислениеНалога": "68.90",
    },
}
CENT: Final = Decimal("0.01")
FAULTS: Final = ("drop_after", "drop_before", "exists", "busy", "500", "500 done", "die before", "die after")
encode = msgspec.json.Encoder(decimal_format="number").encode


class Died(BaseException):
    """The carrier's process ended here: no handler of errors may see it."""


def ref(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


class Books:
    """Source and Target over plain dicts; `store` keeps it in a file, so that it outlives a killed process."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(
            *(
                Entity(name, incremental=True)
                for name in (
                    *CATALOGUES,
                    "currency_rate",
                    "price_type",
                    "price",
                    "stock",
                    *DOCUMENTS,
                    "entry",
                )
            ),
            Entity("balance", incremental=False),
        ),
        writes=("counterparty", "contract", "product", "invoice", "realization", "correction", "return"),
        overlap_seconds=0,
        posted="Posted",
        version="DataVersion",
    )

    def __init__(self) -> None:
        self.system = "onec"
        self.rows: dict[str, dict[str, Payload]] = {}
        self.entries: dict[str, list[Payload]] = {}  # by document
        self.numbers: dict[str, int] = {}
        self.versions = 0
        self.known_versions: Callable[[str], Mapping[str, str]] = lambda entity: {}
        self.faults: list[str] = []
        self.refused: set[str] = set()  # comments of deals whose documents are refused
        self.refused_kinds: set[str] = set()  # kinds of which nothing is created
        self.writes: list[tuple[str, str, str]] = []  # (verb, kind, key) of everything that was carried out
        self.received = 0
        self.received_writes = 0  # requests that write, whatever became of them
        self.base_paths: Mapping[str, Sequence[str]] = {}
        self.asked_for_followers = 0
        self.asked_on = "2026-04-10"
        self.closed_until: date | None = None
        self.posted: set[str] = set()  # by us, since their entries were last asked for
        self.store: Path | None = None
        self.kill_at: int | None = None  # the request before or after which the process is killed
        self.lock = threading.RLock()

    def __getstate__(self) -> Payload:
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("lock", "known_versions", "kill_at")
        }

    def __setstate__(self, state: Payload) -> None:
        self.__dict__.update(state)
        self.lock, self.kill_at, self.known_versions = threading.RLock(), None, lambda entity: {}

    # ---- what it holds ------------------------------------------------------------------------

    def all(self, kind: str) -> dict[str, Payload]:
        return self.rows.setdefault(kind, {})

    def save(self, kind: str, key: str, payload: Payload) -> None:
        self.versions += 1
        whole = {"DeletionMark": False, **payload, "Ref_Key": key, "DataVersion": f"V{self.versions:06d}"}
        self.all(kind)[key] = whole
        if self.store is not None:
            fresh = self.store.with_suffix(".new")
            fresh.write_bytes(pickle.dumps(self))
            fresh.replace(self.store)

    def change(self, kind: str, key: str, **fields: Any) -> None:
        """An accountant's edit; what is posted is posted anew."""
        self.save(kind, key, {**self.all(kind)[key], **fields})
        if kind in DOCUMENTS:
            self.book(kind, key)

    def add(self, kind: str, **fields: Any) -> str:
        """An accountant's own record."""
        key = ref(0xA000 + self.versions + 1)
        if kind in DOCUMENTS:
            fields = {"Posted": kind != "invoice", "Number": self.number(kind), **fields}
        if kind in SETTLES:  # as 1C's forms begin
            firm = next(iter(self.all("organization")), EMPTY)
            fields = {"ВидОперации": SETTLES[kind], "Организация_Key": firm, **fields}
        self.save(kind, key, fields)
        if kind in DOCUMENTS:
            self.book(kind, key)
        return key

    def set_price(self, product: str, day: str, price: str, kind: str = "Розничная") -> str:
        """Set a price of a product (by name) from a day on, as the connector tells of it; its key."""
        types = {row["Description"]: key for key, row in self.all("price_type").items()}
        if kind not in types:
            self.save("price_type", types.setdefault(kind, ref(0xC000 + len(types))), {"Description": kind})
        item = next(key for key, row in self.all("product").items() if row["Description"] == product)
        rouble = next(key for key, row in self.all("currency").items() if row["Code"] == "643")
        key = f"{day}T00:00:00:{item}:{types[kind]}"
        self.save(
            "price", key,
            {"Period": f"{day}T00:00:00", "Day": f"{day}T00:00:00", "Series": f"{item}:{types[kind]}", "Type": types[kind],
             "Номенклатура_Key": item, "Цена": Decimal(price), "Валюта_Key": rouble},
        )  # fmt: skip
        return key

    def number(self, kind: str) -> str:
        self.numbers[kind] = self.numbers.get(kind, 0) + 1
        return f"0000-{self.numbers[kind]:06d}"

    def delete(self, kind: str, key: str) -> None:
        del self.all(kind)[key]
        self.entries.pop(key, None)

    def account(self, code: str) -> str:
        return next(key for key, row in self.all("account").items() if row["Code"] == code)

    def book(self, kind: str, key: str) -> None:
        """Make the entries of a posted document, in roubles."""
        row = self.all(kind)[key]
        if not row.get("Posted") or row.get("DeletionMark") or kind == "invoice":
            self.entries.pop(key, None)
            return
        amount = Decimal(str(row["СуммаДокумента"]))
        rate = Decimal(str(row.get("КурсВзаиморасчетов") or 1)) / Decimal(
            str(row.get("КратностьВзаиморасчетов") or 1)
        )
        own = (amount * rate).quantize(CENT, "ROUND_HALF_UP")
        buyer = row.get("Контрагент_Key") or row.get("Контрагент")
        match kind:
            case "realization":
                moves = [
                    ("62.01", "90.01.1", own),
                    ("90.03", "68.02", (own / 6).quantize(CENT)),
                    ("62.02", "62.01", own / 2),
                ]
            case "correction":
                moves = [("62.01", "90.01.1", own)]
            case "return":
                moves = [("62.01", "90.01.1", -own)]
            case "payment":
                moves = [("51", OTHERS[kind].get(row.get("ВидОперации", ""), "62.02"), own)]
            case _:
                moves = [(OTHERS[kind].get(row.get("ВидОперации", ""), "62.02"), "51", own)]
        self.entries[key] = [
            self._entry(key, row, line, dr, cr, value.quantize(CENT), buyer)
            for line, (dr, cr, value) in enumerate(moves, start=1)
        ]

    def _entry(
        self, key: str, row: Payload, line: int, dr: str, cr: str, amount: Decimal, buyer: str | None
    ) -> Payload:
        sides: Payload = {}
        for side, code in (("Dr", dr), ("Cr", cr)):
            if code.startswith("62"):
                sides |= {f"ExtDimension{side}1": buyer or "", f"ExtDimension{side}1_Type": COUNTERPARTY}
            else:
                sides |= {f"ExtDimension{side}1": "", f"ExtDimension{side}1_Type": "StandardODATA.Undefined"}
        return {
            "Recorder": key, "LineNumber": str(line), "Period": row["Date"], "Active": True,
            "AccountDr_Key": self.account(dr), "AccountCr_Key": self.account(cr), "Сумма": amount, **sides,
        }  # fmt: skip

    def enter(self, debit: Side, credit: Side, amount: str, document: str = "") -> str:
        """An accountant's own entry: of each side the code of the account and whom it names. Off balance one side is
        enough, and the other account is empty. It is a line more of `document`, or an operation of its own."""
        key = document or ref(0xE000 + len(self.entries))
        lines = self.entries.setdefault(key, [])
        sides: Payload = {}
        for side, (code, party) in (("Dr", debit), ("Cr", credit)):
            sides |= {
                f"Account{side}_Key": self.account(code) if code else EMPTY,
                f"ExtDimension{side}1": party,
                f"ExtDimension{side}1_Type": COUNTERPARTY if party else "StandardODATA.Undefined",
            }
        lines.append(
            {
                "Recorder": key, "LineNumber": str(len(lines) + 1), "Period": "2026-03-20T00:00:00", "Active": True,
                "Сумма": Decimal(amount), **sides,
            }
        )  # fmt: skip
        self.posted.add(key)
        return key

    def balances(self) -> dict[tuple[str, str], Decimal]:
        """(account, counterparty) -> debit less credit at the end of the day last asked for, without zeros."""
        codes = {key: row["Code"] for key, row in self.all("account").items()}
        found: dict[tuple[str, str], Decimal] = {}
        for rows in self.entries.values():
            for row in (row for row in rows if row["Period"][:10] <= self.asked_on):
                for side, sign in (("Dr", 1), ("Cr", -1)):
                    account = row[f"Account{side}_Key"]
                    if account == EMPTY:
                        continue
                    buyer = row[f"ExtDimension{side}1"] if codes[account].startswith("62") else ""
                    found[account, buyer] = found.get((account, buyer), Decimal(0)) + sign * row["Сумма"]
        return {place: amount for place, amount in found.items() if amount}

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        for entity in entities:
            if entity == "balance":
                self.asked_on = until.astimezone(ZoneInfo("Europe/Moscow")).date().isoformat()
                yield Page(
                    entity, [self._balance(*place) for place in self.balances().items()], complete=True
                )
            elif entity == "entry":
                if since is None:
                    records = [self._line(row) for rows in self.entries.values() for row in rows]
                    yield Page(entity, records)
                    self.posted.clear()
                elif self.posted:  # of recent documents 1C is asked for the entries too
                    records = [self._line(row) for key in self.posted for row in self.entries.get(key, ())]
                    yield Page(entity, records, complete_parents=list(self.posted))
                    self.posted.clear()
            else:
                known = self.known_versions(entity) if since is not None else {}
                rows = [row for key, row in self.all(entity).items() if known.get(key) != row["DataVersion"]]
                keys = [row["Ref_Key"] for row in rows]
                if entity in DOCUMENTS and keys:
                    lines = [self._line(row) for key in keys for row in self.entries.get(key, ())]
                    yield Page("entry", lines, complete_parents=keys)
                self.received += len(rows)
                yield Page(entity, [Record(row["Ref_Key"], encode(row)) for row in rows])

    def _line(self, row: Payload) -> Record:
        return Record(f"{row['Recorder']}:{row['LineNumber']}", encode(row), parent_id=row["Recorder"])

    def _balance(self, place: tuple[str, str], amount: Decimal) -> Record:
        account, buyer = place
        row = {"Account_Key": account, "ExtDimension1": buyer, "СуммаBalance": amount,
               "ExtDimension1_Type": COUNTERPARTY if buyer else "StandardODATA.Undefined"}  # fmt: skip
        return Record(f"{account}:{buyer}", encode(row))

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        if entity == "balance":
            yield [f"{account}:{buyer}" for account, buyer in self.balances()]
        elif entity == "entry":
            yield [f"{row['Recorder']}:{row['LineNumber']}" for rows in self.entries.values() for row in rows]
        else:
            yield list(self.all(entity))

    def changes(self, since: datetime) -> Iterator[Change]:
        for entity in (*CATALOGUES, *DOCUMENTS):
            known = self.known_versions(entity)
            for key, row in self.all(entity).items():
                if known.get(key) != row["DataVersion"]:
                    yield Change(entity, key, None, row["DataVersion"])

    def check(self) -> list[Finding]:
        return []

    def close(self) -> None: ...

    # ---- Target -------------------------------------------------------------------------------

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        def do() -> Written:
            if key in self.all(kind):
                raise Exists(f"{kind} {key} is there already")
            if body.get("Комментарий") in self.refused:
                raise Refused("the period is closed", code="closed_period")
            if kind in self.refused_kinds:
                raise Refused(f"no {kind} today", code="-1")
            more: Payload = (
                {"Number": self.number(kind), "Posted": False} if kind in DOCUMENTS else {"IsFolder": False}
            )
            if kind in CATALOGUES:
                more["Code"] = f"{len(self.all(kind)) + 1:09d}"
            self.save(kind, key, {**more, **body})
            return self._done("create", kind, key)

        return self._request(do)

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        def do() -> Written:
            held = self.all(kind).get(key)
            if held is None:
                raise Refused(f"there is no {kind} {key}")
            if version is not None and version != held["DataVersion"]:
                raise Conflict(f"{kind} {key} is at {held['DataVersion']}, not {version}")
            self.save(kind, key, {**held, **body})
            self.book(kind, key)
            return self._done("update", kind, key)

        return self._request(do)

    def post(self, kind: str, key: str) -> None:
        def do() -> Written:
            held = self.all(kind).get(key)
            if held is None:
                raise Refused(f"there is no {kind} {key}")
            self.posted.add(key)
            self.save(kind, key, {**held, "Posted": True})
            self.book(kind, key)
            self.save(kind, key, self.all(kind)[key])  # with its entries, where it is kept in a file
            return self._done("post", kind, key)

        self._request(do)

    def unpost(self, kind: str, key: str) -> None:
        def do() -> Written:
            held = self.all(kind).get(key)
            if held is None:
                raise Refused(f"there is no {kind} {key}")
            self.posted.add(key)
            self.save(kind, key, {**held, "Posted": False})
            self.book(kind, key)
            self.save(kind, key, self.all(kind)[key])
            return self._done("unpost", kind, key)

        self._request(do)

    def locks(self) -> Sequence[Lock]:
        return [Lock(self.closed_until)] if self.closed_until else []

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        with self.lock:
            return {key: dict(self.all(kind)[key]) for key in keys if key in self.all(kind)}

    def followers(self, kind: str, keys: Sequence[str]) -> dict[str, list[str]]:
        with self.lock:
            self.asked_for_followers += 1
            found: dict[str, list[str]] = {}
            for entity, (path,) in self.base_paths.items():
                for key, row in self.all(entity).items():
                    if row.get(path) in keys and row["Posted"] and not row["DeletionMark"]:
                        found.setdefault(row[path], []).append(key)
            return found

    def _done(self, verb: str, kind: str, key: str) -> Written:
        self.writes.append((verb, kind, key))
        return Written(key, self.all(kind)[key])

    def _request(self, do: Callable[[], Written]) -> Written:
        """Carry a request out as the next fault will have it."""
        with self.lock:
            self.received_writes += 1
            fault = self.faults.pop(0) if self.faults else ""
            self._maybe_killed()
            match fault:
                case "drop_before" | "500":
                    raise Uncertain(f"no answer ({fault})")
                case "busy":
                    raise SourceError("429: ask later", retriable=True)
                case "die before":
                    raise Died
            answer = do()
            self._maybe_killed()
            match fault:
                case "drop_after" | "500 done":
                    raise Uncertain(f"no answer ({fault})")
                case "exists":
                    raise Exists("somebody in between sent it twice")
                case "die after":
                    raise Died
            return answer

    def _maybe_killed(self) -> None:
        if self.kill_at is not None:
            self.kill_at -= 1
            if self.kill_at <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT00:00:00")
