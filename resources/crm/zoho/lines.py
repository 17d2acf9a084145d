"""Sales orders with their lines: a list of orders does not bring them.

Whole: the lines come by a bulk job of their own, are laid down in a file beside, and put into their orders as these
pass; what changed meanwhile is read once more. Few orders: each by its id, several under way, which brings order and
lines of one moment.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from resources.crm.zoho.bulk import Job, rows_of
from resources.crm.zoho.entities import UNREADABLE, decode, encode, plain_line, whole_order, with_lines
from resources.crm.zoho.org import API, MAX_IDS, Org, Rows
from resources.parallel import in_order

NEEDED: Final = ("Parent_Id", "Sequence_Number")  # columns that say where a line stands


class Lines:
    """Lines by order, in a file of their own that goes when they do: memory stays flat."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sverka-lines-")
        self._file = sqlite3.connect(
            Path(self._folder.name) / "lines", isolation_level=None, check_same_thread=False
        )
        self._file.execute("pragma synchronous = off")
        self._file.execute("pragma journal_mode = off")
        self._file.execute(
            "create table line (id integer primary key, parent integer, place integer, body blob)"
        )

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._folder.cleanup()

    def fill(self, org: Org, job: Job) -> None:
        """Lay down what a bulk job of lines brings. Raises SourceError."""
        self._file.execute("begin")
        for rows in rows_of(org, job):
            self._file.executemany("insert or replace into line values (?, ?, ?, ?)", map(_placed, rows))
        self._file.execute("create index by_parent on line (parent, place)")
        self._file.execute("commit")

    def into(self, orders: Rows) -> list[msgspec.Raw]:
        """These plain orders with their lines, in their order."""
        found: dict[int, list[bytes]] = {}
        numbers = [_number(row) for row in orders]
        for start in range(0, len(numbers), MAX_IDS):
            part = numbers[start : start + MAX_IDS]
            marks = ",".join("?" * len(part))
            for parent, body in self._file.execute(
                f"select parent, body from line where parent in ({marks}) order by parent, place",
                part,
            ):
                found.setdefault(parent, []).append(body)
        return [
            with_lines(row, found.get(number, [])) if number else row
            for row, number in zip(orders, numbers, strict=True)
        ]


def one_by_one(org: Org, fields: Sequence[str], ids: Iterable[str]) -> Iterator[Rows]:
    """These orders, each asked for by itself, with their lines; absent ones are left out. Raises SourceError."""

    def ask(number: str) -> msgspec.Raw | None:
        answer = org.ask("GET", f"{API}Sales_Orders/{number}", about="Sales_Orders")
        rows, _ = org.listed(answer, "data", f"sales order {number}")
        try:
            return whole_order(rows[0], fields) if rows else None
        except UNREADABLE:
            return rows[0]  # to be set apart

    orders = in_order(ask, ids, org.parallel, f"{org.system}-order")
    while part := list(islice(orders, MAX_IDS)):
        yield [row for row in part if row is not None]


class _Id(msgspec.Struct):
    id: str


def _number(order: msgspec.Raw) -> int:
    """The number of an order; 0 of a row that is none, and is to be set apart."""
    try:
        return int(msgspec.json.decode(order, type=_Id).id)
    except (msgspec.DecodeError, ValueError):
        return 0


def _placed(row: msgspec.Raw) -> tuple[int, int, int, bytes]:
    """A line as it is laid down: its id, its order, its place there, its body."""
    line = decode(row)
    order = line.get("Parent_Id") or {}
    number = int(line["id"])
    return number, int(order.get("id") or 0), int(line.get("Sequence_Number") or 0), encode(plain_line(line))
