"""Records of clients in a warehouse, given as CRMs hold them, and the clients that come of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from pipelines.core.cleaning import clean
from pipelines.identity.decisions import Told, decide, undo
from pipelines.identity.store import Refreshed, refresh_identity
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse
from tests.marts.company import deploy_empty

FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
INNS = ("7707083893", "7728168971", "5027089703", "500100732259")  # valid; the last a person's
TABLES = (
    "core.client_member", "core.client_profile", "core.client_record", "core.requisite", "core.contact", "core.deal",
    "ops.identity_decision", "ops.identity_pair", "ops.identity_key", "ops.identity_feature", "ops.identity_kept",
    "ops.identity_model", "ops.client_id", "ops.change_log", "ops.watermark",
)  # fmt: skip
_numbers = iter(range(1, 1_000_000))


@contextmanager
def deployed(server_url: str, template: str) -> Iterator[Warehouse]:
    """A warehouse with every table of the road, empty, gone at the end."""
    name = f"identity_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}".encode())
    warehouse = Warehouse(f"{server_url.rsplit('/', 1)[0]}/{name}")
    deploy_empty(warehouse)
    with warehouse.kept():
        yield warehouse
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)".encode())


class Clients:
    """What CRMs hold, said record by record; `sync` makes clients of it. One connection, committed by every call."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def clear(self) -> None:
        with self.warehouse.transaction() as conn:
            conn.execute("set local session_replication_role = replica")
            conn.execute(f"truncate {', '.join(TABLES)} restart identity cascade".encode())

    def give(
        self,
        record: str,
        name: str | None = None,
        *,
        inn: str | Sequence[str] = (),
        kpp: str = "",
        phone: str | Sequence[str] = (),
        email: str | Sequence[str] = (),
        contact: str | Sequence[str] = (),
        city: str | None = None,
        address: str | None = None,
        country: str = "RU",
        day: int = 0,
        deleted: bool = False,
        merged_into: str | None = None,
    ) -> None:
        """A record as its CRM holds it from now on; `day`: of its making, counted from FIRST_DAY. A `kpp` without any
        `inn` stands beside no number."""
        source, source_id = record.split(":")
        phones, emails = _several(phone), _several(email)
        with self.warehouse.transaction() as conn:
            _forget(conn, record)
            conn.execute(
                "insert into core.client_record (client_record_id, source, source_id, name, name_key, country, city, address, phone,"
                " email, created_at, modified_at, is_deleted, merged_into, problems)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '{}')",
                [
                    record, source, source_id, _clean("legal_name", name), _clean("legal_name_key", name), country, city,
                    address,
                    next(iter(phones), None), next(iter(emails), None),
                    FIRST_DAY + timedelta(days=day), FIRST_DAY, deleted, merged_into,
                ],
            )  # fmt: skip
            for number, given in enumerate(_several(inn) or ([None] if kpp else [])):
                conn.execute(
                    "insert into core.requisite (requisite_id, source, source_id, client_record_id, tax_number, tax_number_given,"
                    " kpp, country, is_deleted, problems) values (%s, %s, %s, %s, %s, %s, %s, %s, false, '{}')",
                    [
                        f"{record}/{number}", source, f"{source_id}/{number}", record, _clean("tax_number", given, country),
                        given, kpp or None, country,
                    ],
                )  # fmt: skip
            people = _several(contact)
            for number in range(max(len(people), len(phones) - 1, len(emails) - 1, 0)):
                conn.execute(
                    "insert into core.contact (contact_id, source, source_id, client_record_id, full_name, phone, email,"
                    " is_deleted, problems) values (%s, %s, %s, %s, %s, %s, %s, false, '{}')",
                    [
                        f"{record}/c{number}", source, f"{source_id}/c{number}", record,
                        *(values[number] if number < len(values) else None for values in (people, phones[1:], emails[1:])),
                    ],
                )  # fmt: skip
            _tell(conn, record)

    def delete(self, record: str) -> None:
        """The CRM has the record no longer."""
        self._say(record, "is_deleted = true")

    def merge(self, record: str, into: str | None) -> None:
        """Its CRM merged the record into another; None takes that back."""
        self._say(record, "merged_into = %s", into)

    def forget(self, record: str) -> None:
        """The record is left out by a rule, as if it had never been read."""
        with self.warehouse.transaction() as conn:
            _forget(conn, record)
            _tell(conn, record)

    def sync(self, *, everything: bool = False) -> Refreshed:
        with self.warehouse.transaction() as conn:
            refresh(conn, tables()["core.client_profile"])
            return refresh_identity(conn, everything=everything)

    def same(self, one: str, other: str, by: str = "Анна") -> Told:
        with self.warehouse.transaction() as conn:
            return decide(conn, one, other, "same", by, "звонила обоим")

    def different(self, one: str, other: str, by: str = "Анна") -> Told:
        with self.warehouse.transaction() as conn:
            return decide(conn, one, other, "different", by, "звонила обоим")

    def undo(self, decision: int) -> Told:
        with self.warehouse.transaction() as conn:
            return undo(conn, str(decision), "Борис", "ошиблись")

    def last_decision(self) -> int:
        """The number of the newest decision of a person that stands; 0 where there is none."""
        return int(
            self.warehouse.scalar(
                "select coalesce(max(decision_id), 0) from ops.identity_decision where decided_by <> 'machine' and undone_at is null"
            )
        )

    # -- what came of it

    def clients(self) -> dict[str, str]:
        """The client of every record."""
        return dict(self.warehouse.rows("select client_record_id, client_id from core.client_member"))

    def parts(self, records: Sequence[str] | None = None) -> set[frozenset[str]]:
        """Which records are together; of these, or of all."""
        found: dict[str, set[str]] = {}
        for record, client in self.clients().items():
            if records is None or record in records:
                found.setdefault(client, set()).add(record)
        return {frozenset(part) for part in found.values()}

    def living(self) -> list[str]:
        return [row[0] for row in self.warehouse.rows("select client_record_id from core.client_profile")]

    def members(self) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(
            "select client_record_id, client_id, rule, weight, joined_by from core.client_member order by 1"
        )

    def ids(self) -> list[tuple[Any, ...]]:
        return self.warehouse.rows("select client_id, forwarded_to from ops.client_id order by 1")

    def pairs(self) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(
            "select left_id, right_id, outcome, weight, rule, levels from ops.identity_pair order by 1, 2"
        )

    def logged(self) -> int:
        return int(self.warehouse.scalar("select coalesce(max(seq), 0) from ops.change_log"))

    def _say(self, record: str, what: str, *values: Any) -> None:
        with self.warehouse.transaction() as conn:
            conn.execute(
                f"update core.client_record set {what} where client_record_id = %s".encode(),
                [*values, record],
            )
            _tell(conn, record)


def unsound(clients: Clients) -> list[str]:
    """What is broken of the promises that hold after every sync; empty where all is well."""
    said = []
    member = clients.clients()
    records = {row[0] for row in clients.warehouse.rows("select client_record_id from core.client_record")}
    said += [f"{record} has no client" for record in records - member.keys()]
    said += [f"{record} is gone and has a client" for record in member.keys() - records]
    ids = dict(clients.warehouse.rows("select client_id, forwarded_to from ops.client_id"))
    for record, client in member.items():
        if client not in ids:
            said.append(f"{record}: the id {client} was never given")
        elif ids[client] is not None:
            said.append(f"{record}: the id {client} is forwarded to {ids[client]}")
        if client in member and member[client] != client:
            said.append(f"the founder {client} is of {member[client]}")
    for client, forwarded in ids.items():
        if forwarded is not None and client in member and member[client] != forwarded:
            said.append(f"{client} is forwarded to {forwarded}, its founder is of {member[client]}")
    standing = {
        number
        for (number,) in clients.warehouse.rows(
            "select decision_id from ops.identity_decision where undone_at is null"
        )
    }
    for record, decision in clients.warehouse.rows(
        "select client_record_id, decision_id from core.client_member where joined_by is not null and rule <> 'kept'"
    ):
        if decision not in standing:
            said.append(f"no decision stands that joined {record}")
    return said


def _several(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _clean(kind: str, value: str | None, country: str = "RU") -> str | None:
    return clean(kind, [value], country)[0].value if value else None


def _forget(conn: Connection, record: str) -> None:
    for table in ("core.client_record", "core.requisite", "core.contact"):
        conn.execute(f"delete from {table} where client_record_id = %s".encode(), [record])


def _tell(conn: Connection, record: str) -> None:
    for name in ("core.client_record", "core.requisite.client_record_id", "core.contact.client_record_id"):
        conn.execute("insert into ops.change_log (table_name, key) values (%s, %s)", [name, record])
