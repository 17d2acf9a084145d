"""What we sent, what the base confirmed and what it told: one SQLite file beside the exchange folder.

The numbers of messages live here, so the file must outlast a restart and be backed up with the database. A number
is committed together with the bytes of its message before the message is written, so a crash between the two
writes the same message again, never another one under the same number.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

BUSY_SECONDS: Final = 30  # how long one process waits for another that writes
PAGE: Final = 1_000

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode

_SCHEMA: Final = """
create table if not exists number (name text primary key, value integer not null) without rowid;
create table if not exists sent (
    kind text, key text, body blob not null, wire blob not null, xml text not null, first_no integer, turn integer not null,
    counted integer, primary key (kind, key)) without rowid;
create index if not exists sent_first on sent (first_no);
create index if not exists sent_counted on sent (counted);
create table if not exists told (
    entity text, key text, body blob not null, deleted integer not null, answered integer not null,
    turn integer not null, at text not null, primary key (entity, key)) without rowid;
create index if not exists told_at on told (entity, at);
create table if not exists apart (
    entity text, label text, name text not null, body blob not null, at text not null, primary key (entity, label)) without rowid;
create table if not exists outgoing (
    id integer primary key check (id = 1), number integer not null, content blob not null);
create table if not exists note (name text primary key, text text not null) without rowid;
create table if not exists taken (digest text primary key, number integer not null) without rowid;
"""
# number: sent, received, answered (the highest of ours that the base confirmed), opened (first of the window),
# acknowledged (the highest of theirs that we told them we took), written (the number that lies in the folder), turn
# (counts what we send and what the base tells), messages, answers (files of the base taken, of either format).
# sent.counted: how many files of the base had been taken when it confirmed the record (or, without numbers, when
# the record was written); null until then.


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as we last sent it. `first_no`: the message in which it first stood; None where there are no numbers."""

    body: Mapping[str, Any]
    wire: Mapping[str, Any]
    first_no: int | None
    turn: int
    counted: int | None


@dataclass(frozen=True, slots=True)
class Heard:
    """A record as the base last told it. `answered`: which of our messages the base had taken by then."""

    key: str
    body: Mapping[str, Any]
    deleted: bool
    answered: int
    turn: int
    at: datetime


class Journal:
    """Thread-safe, and safe between processes. Every write is one transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._open = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._open.execute("pragma journal_mode = wal")
        self._open.execute("pragma synchronous = full")
        self._open.executescript(_SCHEMA)
        self._deep = 0

    def close(self) -> None:
        """End it; nothing is lost."""
        with self._lock:
            self._open.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction; within another one it joins that."""
        with self._lock:
            if self._deep:
                yield
                return
            self._open.execute("begin immediate")
            self._deep = 1
            try:
                yield
            except BaseException:
                self._open.execute("rollback")
                raise
            else:
                self._open.execute("commit")
            finally:
                self._deep = 0

    # ---- numbers ----------------------------------------------------------------------------------

    def number(self, name: str) -> int:
        """A counter; 0 before it was ever set."""
        row = self._one("select value from number where name = ?", name)
        return int(row[0]) if row else 0

    def set(self, name: str, value: int) -> None:
        """Set a counter."""
        self._do(
            "insert into number values (?, ?) on conflict (name) do update set value = excluded.value",
            name,
            value,
        )

    def next(self, name: str) -> int:
        """The counter, one higher than before."""
        with self.writing():
            self.set(name, self.number(name) + 1)
            return self.number(name)

    def note(self, name: str) -> str:
        """A text kept under a name; empty before."""
        row = self._one("select text from note where name = ?", name)
        return str(row[0]) if row else ""

    def keep_note(self, name: str, text: str) -> None:
        """Keep a text."""
        self._do("insert or replace into note values (?, ?)", name, text)

    # ---- what we sent -----------------------------------------------------------------------------

    def put(
        self,
        kind: str,
        key: str,
        body: Mapping[str, Any],
        wire: Mapping[str, Any],
        xml: str,
        *,
        numbered: bool,
    ) -> None:
        """Keep a record that is to be sent: as it was given, with what was filled in (`wire`), and as it stands
        in a message (`xml`). Without numbers it stands in a file of its own.
        """
        self._do(
            "insert into sent values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (kind, key) do update set"
            " body = excluded.body, wire = excluded.wire, xml = excluded.xml, first_no = excluded.first_no,"
            " turn = excluded.turn, counted = excluded.counted",
            kind, key, _encode(body), _encode(wire), xml, 0 if numbered else None, self.next("turn"),
            None if numbered else self.number("answers"),
        )  # fmt: skip

    def sent(self, kind: str, keys: Sequence[str]) -> dict[str, Sent]:
        """Records that we sent, by key."""
        rows = self._many(
            "select key, body, wire, first_no, turn, counted from sent where kind = ? and key in ({})",
            kind,
            keys,
        )
        return {
            key: Sent(_decode(body), _decode(wire), first, turn, counted)
            for key, body, wire, first, turn, counted in rows
        }

    def unconfirmed(self) -> list[str]:
        """What the next message must hold, oldest first: everything that the base has not confirmed."""
        rows = self._all(
            "select xml from sent where first_no = 0 or first_no > ? order by turn", self.number("answered")
        )
        return [row[0] for row in rows]

    def send_again(self) -> None:
        """The base counts further than we remember: what it has not confirmed goes under new numbers."""
        self._do("update sent set first_no = 0 where first_no > ?", self.number("answered"))

    def unsent(self) -> bool:
        """Whether a record waits that no message has held yet."""
        return self._one("select 1 from sent where first_no = 0 limit 1") is not None

    def waiting(self) -> int:
        """How many records the base has not confirmed."""
        row = self._one(
            "select count(*) from sent where first_no = 0 or first_no > ?",
            self.number("answered"),
        )
        return int(row[0]) if row else 0

    def confirmed(self, since: int, until: int) -> None:
        """The base has taken our messages after `since` up to `until`."""
        self._do(
            "update sent set counted = ? where first_no > ? and first_no <= ?",
            self.number("messages"),
            since,
            until,
        )

    def untold(self, patience: int) -> int:
        """How many records the base had time to tell of, did not, and may still: less than `patience` files ago."""
        found = 0
        for name, condition in (("messages", "is not null"), ("answers", "is null")):
            count = self.number(name)
            row = self._one(
                f"select count(*) from sent s where counted between ? and ? and first_no {condition} and not exists"
                " (select 1 from told t where t.entity = s.kind and t.key = s.key and t.turn > s.turn)",
                count - patience + 1, count - 1,
            )  # fmt: skip
            found += int(row[0]) if row else 0
        return found

    def number_message(self, number: int) -> None:
        """Everything unsent stands in this message first."""
        self._do("update sent set first_no = ? where first_no = 0", number)

    def keep_outgoing(self, number: int, content: bytes) -> None:
        """The bytes of the message that lies, or is about to lie, in the folder."""
        self._do("insert or replace into outgoing values (1, ?, ?)", number, content)

    def outgoing(self) -> tuple[int, bytes] | None:
        """Number and bytes of our last message."""
        row = self._one("select number, content from outgoing")
        return (int(row[0]), bytes(row[1])) if row else None

    # ---- what the base told -----------------------------------------------------------------------

    def tell(
        self, entity: str, key: str, body: Mapping[str, Any], *, deleted: bool, answered: int, at: datetime
    ) -> None:
        """Keep a record as the base tells it; a deleted one keeps its last state."""
        encoded = _encode(body)
        self._do(
            "insert into told values (?, ?, ?, ?, ?, ?, ?) on conflict (entity, key) do update set"
            " body = case when excluded.deleted and excluded.body = cast('{}' as blob) then told.body else excluded.body end,"
            " deleted = excluded.deleted, answered = excluded.answered, turn = excluded.turn, at = excluded.at",
            entity, key, encoded, int(deleted), answered, self.next("turn"), at.isoformat(),
        )  # fmt: skip

    def told(self, entity: str, keys: Sequence[str]) -> dict[str, Heard]:
        """Records that the base told, by key."""
        rows = self._many(
            "select key, body, deleted, answered, turn, at from told where entity = ? and key in ({})",
            entity,
            keys,
        )
        return {row[0]: _heard(row) for row in rows}

    def everything(
        self, entity: str, since: datetime | None, *, living: bool = False
    ) -> Iterator[list[Heard]]:
        """Pages of what the base told of an entity, by key; with `since`, of what it told since then."""
        last = ""
        while True:
            rows = self._all(
                "select key, body, deleted, answered, turn, at from told where entity = ? and key > ? and at >= ?"
                " and deleted <= ? order by key limit ?",
                entity, last, since.isoformat() if since else "", 0 if living else 1, PAGE,
            )  # fmt: skip
            if not rows:
                return
            yield [_heard(row) for row in rows]
            last = rows[-1][0]

    def set_apart(self, entity: str, label: str, name: str, body: Mapping[str, Any], at: datetime) -> None:
        """Keep what cannot be a record: an object called `label` that has no key."""
        self._do(
            "insert or replace into apart values (?, ?, ?, ?, ?)",
            entity, label, name, _encode(body), at.isoformat(),
        )  # fmt: skip

    def mended(self, entity: str, label: str) -> None:
        """The object came again, and with a key."""
        self._do("delete from apart where entity = ? and label = ?", entity, label)

    def apart(self, entity: str, since: datetime | None) -> list[tuple[str, str, bytes]]:
        """(label, name of the object, body) of what was set apart; with `since`, since then."""
        rows = self._all(
            "select label, name, body from apart where entity = ? and at >= ? order by label",
            entity,
            since.isoformat() if since else "",
        )
        return [(label, name, bytes(body)) for label, name, body in rows]

    def count(self, entity: str) -> int:
        """How many living records of an entity the base told."""
        row = self._one("select count(*) from told where entity = ? and deleted = 0", entity)
        return int(row[0]) if row else 0

    def fields(self, entity: str, first: str, second: str) -> Iterator[tuple[str, str, str]]:
        """Key and two fields of every living record that has the first."""
        for page in self.everything(entity, None, living=True):
            for one in page:
                if one.body.get(first):
                    yield one.key, str(one.body[first]), str(one.body.get(second) or "")

    def take(self, digest: str, number: int) -> None:
        """A file of this content was taken; it is no news when it comes again."""
        self._do("insert or replace into taken values (?, ?)", digest, number)

    def taken(self, digest: str) -> bool:
        """Whether a file of this content was taken before."""
        return self._one("select 1 from taken where digest = ?", digest) is not None

    # ---- helpers ----------------------------------------------------------------------------------

    def _do(self, sql: str, *values: Any) -> None:
        with self.writing():
            self._open.execute(sql, values)

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._open.execute(sql, values).fetchone()
            return row

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._open.execute(sql, values).fetchall()

    def _many(self, sql: str, name: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            yield from self._all(sql.format(",".join("?" * len(part))), name, *part)


def _heard(row: tuple[Any, ...]) -> Heard:
    key, body, deleted, answered, turn, at = row
    return Heard(key, _decode(body), bool(deleted), answered, turn, datetime.fromisoformat(at))
