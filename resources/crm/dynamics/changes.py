"""A table of Dataverse read whole, by the vendor's change tracking, or by time.

Change tracking: a whole read ends with a delta link; that link, kept as the table's place, brings what was changed
since, then what was deleted, and the next link. It goes by row versions, so clocks, equal stamps and late commits
play no part, and a row that changes without a new `modifiedon` is told too. A link is used for a few days, for the
columns and the address that it was given for; else, or when it is refused, the table is read whole and anew.

By time (tables that are not tracked): `modifiedon` from a time on, in order of stamp and key, without an end.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec

from resources.crm.dynamics.api import Environment, Fetched, query, utc
from resources.crm.dynamics.entities import STAMP, Table

TRACK: Final = "odata.track-changes"
LINK_DAYS: Final = 6  # a link's age up to which it is used; the vendor forgets after 7 by default
CLOCKS: Final = timedelta(seconds=60)  # between the vendor's servers
AHEAD: Final = 2  # pages of a table that wait for whoever stores them
_DELETED: Final = b"$deletedEntity"

Item = TypeVar("Item")


class Place(msgspec.Struct, frozen=True):
    """Where a table's next read goes on: the vendor's link, what it was asked with, and when it was given."""

    link: str
    asked: str
    at: datetime

    def text(self) -> str:
        """As it is stored."""
        return msgspec.json.encode(self).decode()

    def is_good(self, asked: str, base: str, since: datetime, now: datetime, reach: timedelta) -> bool:
        """Whether it may be used: for this question, this address and this time.

        Not where more is asked for than it tells: everything since ever, to begin with.
        """
        return (
            self.asked == asked
            and self.link.startswith(base)
            and now - timedelta(days=LINK_DAYS) < self.at
            and since > self.at - reach
        )


def place_of(text: str | None) -> Place | None:
    """A stored place; None for one that cannot be read."""
    try:
        return msgspec.json.decode(text, type=Place) if text else None
    except msgspec.DecodeError:
        return None


@dataclass(frozen=True, slots=True)
class Asked:
    """One table and how it is asked for."""

    environment: Environment
    table: Table
    select: tuple[str, ...]
    prefer: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """What a delta link encodes: another one is needed where it differs."""
        return " ".join((self.table.set, ",".join(sorted(self.select)), *self.prefer))

    def tracked(self) -> Iterator[Fetched]:
        """Every row; the last page has the delta link. The vendor takes neither filter nor order with it."""
        yield from self._and_since_begun(
            self.environment.pages(query(self.table.set, select=self.select), (TRACK, *self.prefer))
        )

    def delta(self, link: str) -> Iterator[Fetched]:
        """What was changed and deleted since the link was given."""
        yield from self._and_since_begun(self.environment.pages(link, self.prefer))

    def whole(self) -> Iterator[Fetched]:
        """Every row, without a link, in order of the key."""
        path = query(self.table.set, select=self.select, order=f"{self.table.key} asc")
        yield from self._and_since_begun(self.environment.pages(path, self.prefer))

    def since(self, moment: datetime) -> Iterator[Fetched]:
        """What bears a stamp from this time on; rows that change meanwhile come once more at the end."""
        yield from self.environment.pages(self._by_time(moment), self.prefer)

    def newest(self) -> str:
        """The path of the rows changed last."""
        return query(
            self.table.set, select=(self.table.key, STAMP), order=f"{STAMP} desc,{self.table.key} asc"
        )

    def only_keys(self) -> Iterator[Fetched]:
        """The keys of living rows."""
        path = query(
            self.table.set, select=(self.table.key,), where=self.table.living, order=f"{self.table.key} asc"
        )
        yield from self.environment.pages(path)

    def where(self, condition: str) -> Iterator[Fetched]:
        """The rows that a filter leaves."""
        path = query(self.table.set, select=self.select, where=condition)
        yield from self.environment.pages(path, self.prefer)

    def _by_time(self, moment: datetime) -> str:
        where = f"{STAMP} ge {utc(moment)}"
        return query(self.table.set, select=self.select, where=where, order=self.table.order)

    def _and_since_begun(self, pages: Iterable[Fetched]) -> Iterator[Fetched]:
        """The pages, and what was changed while more than one of them was read.

        Whether a link that comes with the last page tells what changed after the first one is not documented.
        """
        begun: datetime | None = None
        count = 0
        for fetched in pages:
            count += 1
            begun = begun or fetched.at
            yield fetched
        if count > 1 and begun is not None:
            yield from self.environment.pages(self._by_time(begun - CLOCKS), self.prefer)


class _Gone(msgspec.Struct, rename={"context": "@odata.context"}):
    context: str = ""
    id: str = ""


def told_apart(rows: Sequence[msgspec.Raw]) -> tuple[list[msgspec.Raw], list[str]]:
    """The rows of a delta, and the keys of the deleted ones."""
    living: list[msgspec.Raw] = []
    gone: list[str] = []
    for row in rows:
        if _DELETED in bytes(row):
            head = msgspec.json.decode(row, type=_Gone)
            if head.context.endswith("$deletedEntity") and head.id:
                gone.append(head.id.lower())
                continue
        living.append(row)
    return living, gone


def side_by_side(
    sources: Sequence[Callable[[], Iterator[Item]]], at_once: int, name: str = ""
) -> Iterator[Item]:
    """What the sources yield, as it comes, with so many of them running; an error of one rises and ends all.

    Each source runs in a thread and stays a few items ahead, so pages are fetched while others are stored.
    """
    ready: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(max(1, at_once) * AHEAD)
    stop = threading.Event()
    waiting = iter(sources)
    lock = threading.Lock()

    def hand_over(kind: str, what: Item | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put((kind, what), timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            while not stop.is_set():
                with lock:
                    source = next(waiting, None)
                if source is None:
                    break
                for item in source():
                    if not hand_over("item", item):
                        return
        except BaseException as error:  # noqa: BLE001 - it rises where the items are taken
            hand_over("error", error)
        else:
            hand_over("end", None)

    running = [
        threading.Thread(target=work, name=f"{name}-{number}", daemon=True)
        for number in range(min(max(1, at_once), len(sources)))
    ]
    for thread in running:
        thread.start()
    left = len(running)
    try:
        while left:
            kind, what = ready.get()
            if kind == "end":
                left -= 1
            elif isinstance(what, BaseException):
                raise what
            else:
                yield what  # type: ignore[misc]
    finally:
        stop.set()
        for thread in running:
            thread.join()
