"""The account's log of events: what was deleted, restored, merged, linked. It only grows, newest first.

Unconfirmed by the vendor's documentation, so that both readings work here: what an event of a merge holds
(ids of the losers are taken where it holds any; else a merge and a deletion of one kind, by one person, within
MERGE_SECONDS, one for one in turn, belong together; else the loser is simply deleted); whether a link of a
catalog element is told of at the deal or at the element (each record that an event names is read again).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

import msgspec

from resources.crm.amocrm.account import Account, Listing

BACK: Final = timedelta(days=31)  # events before that are left to the sweep and to the whole read
MERGE_SECONDS: Final = 2
EVENT_PAGE: Final = 100  # the vendor's greatest
MAX_EVENT_PAGES: Final = 2_000
KINDS: Final = {
    "lead": "deal", "leads": "deal", "contact": "contact", "contacts": "contact",
    "company": "company", "companies": "company",
}  # fmt: skip

_WORDS = ("lead", "contact", "company")
DELETED: Final = tuple(f"{word}_deleted" for word in _WORDS)
RESTORED: Final = tuple(f"{word}_restored" for word in _WORDS)
MERGED: Final = "entity_merged"
LINKED: Final = (
    "entity_linked", "entity_unlinked", *(f"{word}_{how}" for word in _WORDS for how in ("linked", "unlinked")),
)  # fmt: skip


@dataclass(slots=True)
class Told:
    """What the log tells of one time, by entity and id. Times are UTC, of whole seconds.

    What was deleted and restored stands where the last event puts it.
    """

    deleted: dict[str, dict[str, datetime]] = field(default_factory=dict)
    restored: dict[str, dict[str, datetime]] = field(default_factory=dict)
    touched: dict[str, set[str]] = field(default_factory=dict)  # to be read again whatever their stamps say
    merged: dict[str, dict[str, str]] = field(default_factory=dict)  # loser -> survivor
    survivors: dict[str, set[str]] = field(default_factory=dict)


class Event(msgspec.Struct):
    """One event."""

    id: str
    type: str
    entity_id: int
    entity_type: str
    created_at: int
    created_by: int = 0
    value_after: Any = None
    value_before: Any = None


class EventLog:
    """The log of one account."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def since(self, since: datetime) -> Told:
        """What it tells of the time since then, BACK at most before now."""
        low = max(since, datetime.now(UTC) - BACK)
        return told(self._read([*DELETED, *RESTORED, MERGED, *LINKED], low))

    def deletions(self, since: datetime) -> Told:
        """Deletions and merges since then."""
        return told(self._read([*DELETED, MERGED], since))

    def restorations(self) -> Told:
        """Everything that was ever restored: a restored record may carry an older stamp than its deletion."""
        return told(self._read(RESTORED, datetime.fromtimestamp(0, UTC)))

    def newest_deletions(self) -> Told:
        """The deletions on the first page of the log, one request."""
        return told(self._events(self.account.page(_listing(DELETED, None), 1).rows, DELETED))

    def _read(self, types: Iterable[str], since: datetime) -> Iterator[Event]:
        wanted, low = frozenset(types), int(since.timestamp())
        for got in self.account.pages(_listing(types, low)):
            found = list(self._events(got.rows, None))
            yield from (event for event in found if event.type in wanted and event.created_at >= low)
            # Where the filter by time is passed over, the order ends the reading.
            if got.number >= MAX_EVENT_PAGES or (found and max(e.created_at for e in found) < low):
                return

    @staticmethod
    def _events(rows: Iterable[msgspec.Raw], types: Iterable[str] | None) -> Iterator[Event]:
        for row in rows:
            try:
                event = msgspec.json.decode(row, type=Event, strict=False)
            except msgspec.DecodeError:
                continue  # an event of a kind that names no record
            if types is None or event.type in types:
                yield event


def told(events: Iterable[Event]) -> Told:
    """What events tell, in any order."""
    found = Told()
    ordered = sorted(events, key=lambda event: (event.created_at, event.id))
    for event in ordered:
        entity, key = KINDS.get(event.entity_type), str(event.entity_id)
        at = datetime.fromtimestamp(event.created_at, UTC)
        if event.type in LINKED:
            named = [(entity, key), *_named(event.value_after), *_named(event.value_before)]
            for other, number in named:
                if other is not None:
                    found.touched.setdefault(other, set()).add(number)
        elif entity is None:
            continue
        elif event.type in DELETED:
            found.deleted.setdefault(entity, {})[key] = at
            found.restored.get(entity, {}).pop(key, None)
        elif event.type in RESTORED:
            found.restored.setdefault(entity, {})[key] = at
            found.deleted.get(entity, {}).pop(key, None)
        elif event.type == MERGED:
            found.survivors.setdefault(entity, set()).add(key)
    for loser, survivor, entity, at in _merges(ordered):
        found.merged.setdefault(entity, {})[loser] = survivor
        if loser not in found.restored.get(entity, {}):
            found.deleted.setdefault(entity, {}).setdefault(loser, at)
    return found


def _merges(ordered: Iterable[Event]) -> Iterator[tuple[str, str, str, datetime]]:
    concerned = [e for e in ordered if e.type in (*DELETED, MERGED) and e.entity_type in KINDS]
    concerned.sort(key=lambda e: (KINDS[e.entity_type], e.created_by))  # stable: by time within each
    for (entity, _), group in groupby(concerned, key=lambda e: (KINDS[e.entity_type], e.created_by)):
        run: list[Event] = []
        for event in group:
            if run and event.created_at - run[-1].created_at > MERGE_SECONDS:
                yield from _pairs(entity, run)
                run = []
            run.append(event)
        yield from _pairs(entity, run)


def _pairs(entity: str, run: list[Event]) -> Iterator[tuple[str, str, str, datetime]]:
    """Losers and survivors of merges and deletions in quick succession."""
    rest: list[Event] = []
    spoken: set[int] = set()
    for event in run:
        named = {
            number
            for value in (event.value_after, event.value_before)
            for kind, number in _named(value)
            if event.type == MERGED and kind in (None, entity) and number != str(event.entity_id)
        }
        for loser in sorted(named):
            spoken.add(int(loser))
            yield loser, str(event.entity_id), entity, datetime.fromtimestamp(event.created_at, UTC)
        if not named:
            rest.append(event)
    rest = [event for event in rest if event.type == MERGED or event.entity_id not in spoken]
    signs = "".join("M" if event.type == MERGED else "D" for event in rest)
    if not signs or signs not in ("MD" * (len(signs) // 2), "DM" * (len(signs) // 2)):
        return
    for first, second in zip(rest[::2], rest[1::2], strict=True):
        kept, lost = (first, second) if first.type == MERGED else (second, first)
        if kept.entity_id != lost.entity_id:
            at = datetime.fromtimestamp(lost.created_at, UTC)
            yield str(lost.entity_id), str(kept.entity_id), entity, at


def _named(value: Any) -> Iterator[tuple[str | None, str]]:
    """Records that an event's value names, wherever they stand in it: (entity or None, id)."""
    if isinstance(value, list):
        for one in value:
            yield from _named(one)
    elif isinstance(value, dict):
        inner = value.get("entity")
        if isinstance(inner, dict) and str(inner.get("id", "")).isdigit():
            kind = str(inner.get("type") or inner.get("entity_type") or "")
            if kind in KINDS or not kind:
                yield KINDS.get(kind), str(inner["id"])
            return
        for one in value.values():
            if isinstance(one, dict | list):
                yield from _named(one)


def _listing(types: Iterable[str], low: int | None) -> Listing:
    params: dict[str, Any] = {"filter[type]": ",".join(types)}
    if low:
        params["filter[created_at][from]"] = low
    return Listing("events", "events", params, EVENT_PAGE)
