"""The base itself: objects, their order and versions, posting state, the closed period.

Objects lie in one collection a set, sparse (see `values`). Keys of a set are also held sorted as the
database sorts references: by the fourth and fifth group of the guid, then the third, second and first.
Dates are naive strings of the server's wall clock, as 1C has them.
"""

from __future__ import annotations

import base64
import struct
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any
from weakref import WeakKeyDictionary

from sandbox.onec.accounting import ACCOUNTING
from sandbox.onec.conduct import Conduct
from sandbox.onec.error import EXISTS, HTTP_METHOD, NO_INSTANCE, ODataError, refusal
from sandbox.onec.ledger import Entry, Ledger
from sandbox.onec.model import (
    ACCOUNTS,
    CLOSED_DATES,
    COUNTERPARTIES,
    EMPTY_DATE,
    EMPTY_REF,
    PRICES,
    RATES,
    Configuration,
    EntitySet,
    Property,
    Row,
)
from sandbox.onec.posting import entries_of
from sandbox.onec.readings import CURRENCY, READINGS, columns, without_currency
from sandbox.onec.registers import Registers
from sandbox.onec.release import Change, kept_names, published, shown
from sandbox.onec.rules import records_of
from sandbox.onec.values import is_empty_ref, kept, sparse
from sandbox.store import Collection, Store

TRUTH = "onec_truth"
"""Where Бухгалтерия's truth is listed; that of another configuration is `NAME_truth`."""
_CODE_WIDTHS = {COUNTERPARTIES: 6, "Catalog_ДоговорыКонтрагентов": 6, "Catalog_Номенклатура": 8}


class PreconditionError(Exception):
    """`If-Match` names another version: HTTP 412, nothing was done."""


class Base:
    """One 1C base of one configuration. Use `Base.of(store)`: there is one for each store and configuration."""

    _known: WeakKeyDictionary[Store, dict[str, Base]] = WeakKeyDictionary()

    def __init__(self, store: Store, configuration: Configuration = ACCOUNTING) -> None:
        self.store, self.configuration = store, configuration
        self.sets = dict(configuration.sets)  # as they are published now: a release may change them
        self.conduct = Conduct()
        self._prefix = configuration.prefix
        objects = [entity.name for entity in configuration.sets.values() if entity.key == ("Ref_Key",)]
        self.rows: dict[str, Collection] = {name: self._collection(name) for name in objects}
        self.info: dict[str, Collection] = {
            entity.name: self._collection("rates" if entity.name == RATES else entity.name)
            for entity in configuration.sets.values()
            if entity.register == "information" and not entity.recorded
        }
        self.rates = self.info[RATES]
        self.order: dict[str, list[str]] = {
            name: sorted(order_of(key) for key in rows) for name, rows in self.rows.items()
        }
        self.ledger = Ledger(self._collection("entries"))
        self.registers = Registers(self._collection("movements"))
        self.answers: dict[Any, list[Row]] = {}  # of virtual tables, by arguments and ledger state
        self._codes: dict[str, str] = {}
        self._settings, self._truth = self._collection("settings"), self._collection("truth")
        self.columns: Mapping[str, Mapping[str, Mapping[str, Property]]] = {}
        self._release()

    def _collection(self, name: str) -> Collection:
        return self.store.collection(self._prefix + name)

    @classmethod
    def of(cls, store: Store, configuration: Configuration = ACCOUNTING) -> Base:
        bases = cls._known.setdefault(store, {})
        if configuration.name not in bases:
            bases[configuration.name] = cls(store, configuration)
        return bases[configuration.name]

    # Releases

    @property
    def release(self) -> list[Change]:
        """Changes of published sets that a release made, in order."""
        return [(c[0], c[1], c[2]) for c in self._settings.get("release", {}).get("changes", ())]

    def change_release(self, changes: list[Change]) -> None:
        """Publish the configuration with these changes alone. Raises ValueError, then nothing changed."""
        published(self.configuration.sets, changes)
        self._settings.put("release", {"changes": [list(change) for change in changes]})
        self._release()

    def _release(self) -> None:
        changes = self.release
        self.sets = published(self.configuration.sets, changes) if changes else dict(self.configuration.sets)
        self._readings: dict[str, str] = dict(self._settings.get("readings", {}))
        self.columns = columns(self.configuration.columns, self._readings)
        self.registers.hidden.clear()
        if self._readings.get("price_currency") == "type":
            self.registers.hidden.add((PRICES, CURRENCY))
            for name in (PRICES, f"{PRICES}_RecordType"):
                self.sets[name] = without_currency(self.sets[name])

    def reading(self, name: str) -> str:
        """How the base does what no source says for certain; see `readings`."""
        return self._readings.get(name, READINGS[name][0][0])

    @property
    def readings(self) -> dict[str, str]:
        name = self.configuration.name
        return {what: self.reading(what) for what, (_, where) in READINGS.items() if name in where}

    def change_readings(self, readings: Mapping[str, str]) -> None:
        """Choose these readings beside those chosen before; an empty mapping takes all back."""
        self._settings.put("readings", self._readings | dict(readings) if readings else {})
        self.answers.clear()
        self._release()

    def shown(self, entity: EntitySet, stored: Row) -> Row:
        """A stored row under the names that are published now."""
        return shown(entity, stored)

    # Reading

    def get(self, name: str, key: str) -> Row | None:
        """The stored (sparse) row of a key."""
        return self.rows[name].get(key.lower())

    def full(self, entity: EntitySet, stored: Row) -> Row:
        """The row with every property and tabular part, as an answer shows it."""
        filled = {**entity.template, **stored}
        for table, template in entity.row_templates.items():
            rows = stored.get(table)
            if rows:
                filled[table] = [{**template, "Ref_Key": stored["Ref_Key"], **row} for row in rows]
        return filled

    @staticmethod
    def order_of(key: str) -> str:
        """Sort key of a reference, for conditions that compare references."""
        return order_of(key)

    def keys_after(self, name: str, key: str | None, *, including: bool = False) -> Iterator[str]:
        """Keys of a set in the order of the database, from behind `key`."""
        order = self.order[name]
        start = 0
        if key is not None:
            start = (bisect_left if including else bisect_right)(order, order_of(key))
        for position in range(start, len(order)):
            yield key_of(order[position])

    def account(self, code: str) -> str:
        """Key of an account by its code, EMPTY_REF when the chart has none."""
        if code not in self._codes:
            self._codes = {row["Code"]: key for key, row in self.rows[ACCOUNTS].items()}
        return self._codes.get(code, EMPTY_REF)

    def account_code(self, key: str) -> str:
        row = self.rows[ACCOUNTS].get(key)
        return str(row["Code"]) if row else ""

    def presentation(self, name: str, stored: Row) -> str:
        """How 1C names an object in lists and messages."""
        if not name.startswith("Document_"):
            return str(stored.get("Description", ""))
        day, _, clock = str(stored.get("Date", EMPTY_DATE)).partition("T")
        shown = ".".join(reversed(day.split("-")))
        return f"{self.configuration.sets[name].synonym} {stored.get('Number', '')} от {shown} {clock.lstrip('0') or '0'}"

    # Writing

    def create(self, entity: EntitySet, body: Row) -> Row:
        """Write a new object and return it sparse. Raises ODataError 15 when its key is taken."""
        wanted = body.get("Ref_Key")
        key = (
            str(wanted).lower() if isinstance(wanted, str) and not is_empty_ref(wanted) else str(uuid.uuid4())
        )
        try:
            key = str(uuid.UUID(key))
        except ValueError:
            raise ODataError("4", f'Неверное значение свойства "Ref_Key": {key[:60]}') from None
        if key in self.rows[entity.name]:
            raise ODataError(EXISTS, f'Сущность "{entity.object_name}" с таким ключом уже существует.')
        row, entity = kept_names(entity, kept(entity, body)), self.configuration.sets[entity.name]
        self._check_write(entity, row)
        with self.store.together():
            self._assign_number(entity, row)
            return self._put(entity, key, row, version=1)

    def update(
        self, entity: EntitySet, key: str, body: Row, *, replace: bool = False, match: str | None = None
    ) -> Row:
        """Change the named properties (`replace`: all of them) and return the object sparse."""
        old = self._existing(entity, key, match)
        row, entity = kept_names(entity, kept(entity, body)), self.configuration.sets[entity.name]
        if old.get("Posted"):
            title = self.presentation(entity.name, old)
            raise refusal(f'Не удалось записать: "{title}"!\nДокумент проведен, сначала отмените проведение.')
        self._check_open(entity, old)
        merged = ({"Code": old.get("Code"), "Number": old.get("Number")} if replace else old) | row
        merged = {name: value for name, value in merged.items() if value is not None}
        self._check_write(entity, merged)
        with self.store.together():
            self._assign_number(entity, merged)
            return self._put(entity, key.lower(), merged, version=version_of(old) + 1)

    def delete(self, entity: EntitySet, key: str, match: str | None = None) -> None:
        """Delete physically, movements included, and write it down in the truth."""
        old = self._existing(entity, key, match)
        key = key.lower()
        with self.store.together():
            self.ledger.remove(key)
            self.registers.remove(key)
            self.rows[entity.name].delete(key)
            order = self.order[entity.name]
            del order[bisect_left(order, order_of(key))]
            self._codes.clear()
            self.record(f"deleted:{key}", act="deleted", document=key, set=entity.name, before=old)

    def post(self, entity: EntitySet, key: str) -> None:
        """Post a document: check it as the configuration does and replace what it wrote to registers."""
        doc = self._existing(entity, key)
        key, title = key.lower(), self.presentation(entity.name, doc)
        if entity.kind != "Document":
            raise ODataError("11", f'Метод "Post" не найден для сущности "{entity.object_name}".')
        if not entity.postable:
            raise refusal(f'Не удалось провести "{title}"!\nПроведение документа данного вида запрещено.')
        if doc.get("DeletionMark"):
            raise refusal(f'Не удалось провести "{title}"!\nДокумент помечен на удаление.')
        self._check_open(entity, doc)
        entity = self.configuration.sets[entity.name]
        rule, full = self.configuration.rules.get(entity.name), self.full(entity, doc)
        with self.store.together():
            if rule is not None:
                records = records_of(self, entity, rule, full)
                self.registers.put(key, entity.name, doc["Date"], records)
            else:
                rows = self._entries(full, entity)
                if rows:
                    self.ledger.put(key, entity.name, doc["Date"], full["Организация_Key"], rows)
            self._put(entity, key, {**doc, "Posted": True}, version=version_of(doc) + 1)

    def _entries(self, full: Row, entity: EntitySet) -> list[Entry]:
        before = self.ledger.take(full["Ref_Key"])  # its own entries are no debt when it is posted again
        try:
            return entries_of(self, entity, full)
        except ODataError:
            self.ledger.restore(full["Ref_Key"], before)
            raise

    def unpost(self, entity: EntitySet, key: str) -> None:
        doc = self._existing(entity, key)
        if entity.kind != "Document":
            raise ODataError("11", f'Метод "Unpost" не найден для сущности "{entity.object_name}".')
        if not entity.postable:
            title = self.presentation(entity.name, doc)
            raise refusal(f'Не удалось отменить проведение "{title}"!\nПроведение документа запрещено.')
        self._check_open(entity, doc)
        entity = self.configuration.sets[entity.name]
        with self.store.together():
            self.ledger.remove(key.lower())
            self.registers.remove(key.lower())
            self._put(entity, key.lower(), {**doc, "Posted": False}, version=version_of(doc) + 1)

    def touch(self, entity: EntitySet, key: str) -> None:
        """Write an object again as it is, as somebody does who presses OK: its version changes."""
        doc = self._existing(entity, key)
        entity = self.configuration.sets[entity.name]
        self._put(entity, key.lower(), dict(doc), version=version_of(doc) + 1)

    def enter(self, entity: EntitySet, body: Row) -> Row:
        """Write one record of an independent information register, over one of the same key."""
        if entity.name not in self.info:
            raise ODataError(HTTP_METHOD, "Использованный HTTP-метод запрещен в данном контексте.")
        row = {name: prop.default for name, prop in entity.properties.items()} | kept(entity, body)
        self.info[entity.name].put(":".join(str(row[name]) for name in entity.key), row)
        return row

    def record(self, truth_key: str, **what: object) -> None:
        """Write an act down in the known truth."""
        self._truth.put(truth_key, dict(what))

    def truth(self) -> dict[str, Row]:
        """Acts that were written down, by key."""
        return dict(self._truth)

    # The closed period

    @property
    def closed_until(self) -> str:
        """ISO date of the last closed day, "" when nothing is closed."""
        return str(self._settings.get("closed_until", {}).get("date", ""))

    def close_until(self, day: date | None) -> None:
        """Close every day up to and including `day` to everybody, as the common date does; None opens all."""
        self._settings.put("closed_until", {"date": day.isoformat() if day else ""})
        dates = self.info[CLOSED_DATES]
        for place in list(dates):
            dates.delete(place)
        if day is not None:
            self.enter(
                self.configuration.sets[CLOSED_DATES],
                {
                    "Объект": EMPTY_REF,
                    "Объект_Type": "StandardODATA.ChartOfCharacteristicTypes_РазделыДатЗапретаИзменения",
                    "Пользователь": "ДляВсехПользователей",
                    "Пользователь_Type": "StandardODATA.ВидыНазначенияДатЗапрета",
                    "ДатаЗапрета": f"{day.isoformat()}T00:00:00",
                    "Комментарий": "",
                },
            )

    def _check_open(self, entity: EntitySet, row: Row) -> None:
        closed = self.closed_until
        if entity.kind == "Document" and closed and row.get("Date", EMPTY_DATE)[:10] <= closed:
            until = ".".join(reversed(closed.split("-")))
            raise refusal(
                f'Не удалось записать: "{self.presentation(entity.name, row)}"!\n'
                f"Дата документа в закрытом периоде. Дата запрета изменения данных: {until}."
            )

    # Parts of writing

    def _existing(self, entity: EntitySet, key: str, match: str | None = None) -> Row:
        if entity.name not in self.rows:
            raise ODataError(HTTP_METHOD, "Использованный HTTP-метод запрещен в данном контексте.")
        found = self.rows[entity.name].get(key.lower())
        if found is None:
            text = f'Экземпляр сущности "{entity.object_name}" не найден по переданному ключу.'
            raise ODataError(NO_INSTANCE, text)
        if match is not None and match.strip().removeprefix("W/").strip('"') not in (
            "*",
            found["DataVersion"],
        ):
            raise PreconditionError
        return found

    def _check_write(self, entity: EntitySet, row: Row) -> None:
        if entity.kind == "Document" and row.get("Date", EMPTY_DATE) == EMPTY_DATE:
            raise refusal(f'Не удалось записать: "{entity.synonym}"!\nПоле "Дата" не заполнено.')
        self._check_open(entity, row)

    def _assign_number(self, entity: EntitySet, row: Row) -> None:
        if "Number" in entity.properties and not row.get("Number"):
            number = self.store.counter(f"{self.configuration.name}.{entity.name}.{row['Date'][:4]}")
            row["Number"] = f"0000-{number:06d}"
        elif "Code" in entity.properties and not row.get("Code") and not row.get("Number"):
            number = self.store.counter(f"{self.configuration.name}.{entity.name}")
            width = _CODE_WIDTHS.get(entity.name, 0)
            row["Code"] = f"00-{number:0{width}d}" if width else f"{number:09d}"

    def _put(self, entity: EntitySet, key: str, row: Row, *, version: int) -> Row:
        rows = self.rows[entity.name]
        if key not in rows:
            insort(self.order[entity.name], order_of(key))
        stored = {"Ref_Key": key, **sparse(entity, row), "DataVersion": data_version(version)}
        stored["Ref_Key"] = key
        rows.put(key, stored)
        if entity.name == ACCOUNTS:
            self._codes.clear()
        return stored


def order_of(key: str) -> str:
    """Sort key of a reference as the database keeps it (sixteen bytes, groups 4 5 3 2 1)."""
    key = key.lower()
    return key[19:23] + key[24:] + key[14:18] + key[9:13] + key[:8]


def key_of(order: str) -> str:
    return f"{order[24:]}-{order[20:24]}-{order[16:20]}-{order[:4]}-{order[4:16]}"


def data_version(number: int) -> str:
    """The n-th version of an object in the recorded form: 'AAAAAQAAAAA=' is the first."""
    return base64.b64encode(struct.pack(">II", number, 0)).decode()


def version_of(row: Row) -> int:
    return int(struct.unpack(">II", base64.b64decode(row["DataVersion"]))[0])
