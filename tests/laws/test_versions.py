"""What a record said before: as of any time, as known at any time, whatever comes late."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mappings import load
from pipelines import sync
from pipelines.core import clean_values
from pipelines.core.cleaning import Cleaned
from pipelines.raw.load import store_page
from pipelines.sync import Road
from pipelines.table import tables
from resources.connector import Capabilities, Entity, Page, Record
from resources.warehouse import Warehouse
from tests.laws.conftest import examples
from tests.mapping.mapping_road import write_folder

SHOP = """system: shop
connector: files
role: crm
title: Shop
timezone: Europe/Moscow
read:
  core.deal:
    from: deal
    fields: {title: title}
  core.deal_line:
    from: line
    parent: {ref: core.deal}
    fields: {deal_id: {parent: true}, product_name: title}
"""
CAPABILITIES = Capabilities(
    entities=(Entity("deal", incremental=True), Entity("line", incremental=True, parent="deal"))
)
START = datetime(2026, 1, 1, tzinfo=UTC)
EVER = datetime(2100, 1, 1, tzinfo=UTC)
STAMPS = 6
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Act:
    """A record is said to be so, or gone (`title` empty), by its stamp; or is found to be gone (no stamp)."""

    number: int
    stamp: int | None
    title: str
    note: str = ""  # which no mapping reads
    parent: int = 0


SYNC = "sync"
ACTS = st.lists(
    st.one_of(
        st.just(SYNC),
        st.builds(
            Act, st.integers(0, 1), st.integers(0, STAMPS), st.sampled_from("ABC"), st.sampled_from("xy"), st.integers(0, 1)
        ),
        st.builds(Act, st.integers(0, 1), st.integers(0, STAMPS), st.just("")),
        st.builds(Act, st.integers(0, 1), st.none(), st.just("")),
    ),
    max_size=16,
)  # fmt: skip

Said = tuple[str, str, int] | None  # title, note, parent; None: gone


@dataclass
class Replay:
    """What the source said of one record, worked out without a database.

    `versions`: (valid, sync from which on it is known, said), in the order of hearing.
    """

    versions: list[tuple[datetime, int, Said]] = field(default_factory=list)
    stamp: datetime | None = None
    valid: datetime = EVER
    said: Said = None

    def hear(self, stamp: datetime | None, said: Said, now: datetime, known: int) -> None:
        if not self.versions:
            self._become(stamp, stamp or now, said, known)
        elif stamp is not None and self.stamp is not None and stamp < self.stamp:
            self.versions.append((stamp, known, said))
            if self.valid < stamp:  # it was by then again what it is
                self.versions.append((self.stamp, known, self.said))
        elif said == self.said:
            self.stamp = (
                stamp if self.stamp is not None and stamp is not None else self.stamp
            )  # the last one is kept
        else:
            valid = stamp or now
            if valid < self.valid or (said is None and stamp is not None and stamp <= self.valid):
                valid = max(now, self.valid)
            self._become(stamp, valid, said, known)

    def _become(self, stamp: datetime | None, valid: datetime, said: Said, known: int) -> None:
        self.stamp, self.valid, self.said = stamp, valid, said
        self.versions.append((valid, known, said))

    def as_of(self, valid: datetime, known: int) -> tuple[bool, Said]:
        """Whether anything was known, and what was said."""
        found = [(v, n, said) for n, (v, k, said) in enumerate(self.versions) if v <= valid and k <= known]
        return (True, max(found, key=lambda one: one[:2])[2]) if found else (False, None)


class Shop:
    """A shop's records in a warehouse, and their replay. `entity`: rows of their own, or of a parent."""

    table: ClassVar[dict[str, str]] = {"deal": "core.deal", "line": "core.deal_line"}

    def __init__(self, road: Road, entity: str) -> None:
        self.road, self.warehouse, self.entity = road, road.warehouse, entity
        self.prefix = f"{next(_numbers)}-"
        self.replays: dict[int, Replay] = {}
        self.syncs: list[datetime] = []
        self.read: dict[tuple[datetime, int], Any] = {}

    def act(self, act: Act) -> None:
        said = (act.title, act.note, act.parent if self.entity == "line" else 0) if act.title else None
        stamp = None if act.stamp is None else START + timedelta(hours=act.stamp)
        payload = msgspec.json.encode({"title": act.title, "note": act.note}) if said else b"{}"
        parent = f"{self.prefix}p{act.parent}" if self.entity == "line" and said else None
        record = Record(f"{self.prefix}{act.number}", payload, stamp, parent, deleted=said is None)
        replay = self.replays.setdefault(act.number, Replay())
        store_page(self.warehouse, "shop", CAPABILITIES, Page(self.entity, [record]))
        replay.hear(stamp, said, self.now(), len(self.syncs))

    def now(self) -> datetime:
        moment: datetime = self.warehouse.scalar("select clock_timestamp()")
        return moment

    def sync(self, *, everything: bool = False) -> None:
        sync.refresh_table(self.road, tables()[self.table[self.entity]], everything=everything)
        self.syncs.append(self.now())

    def times(self) -> list[tuple[datetime, int]]:
        """Every pair of times that tells anything apart."""
        valid = [START + timedelta(minutes=30 * n) for n in range(-1, 2 * STAMPS + 2)]
        return [(v, k) for k in range(len(self.syncs)) for v in (*valid, *self.syncs, EVER)]

    def as_of(self, valid: datetime, known: int) -> dict[str, Any]:
        title = "title" if self.entity == "deal" else "product_name"
        key = "deal_id" if self.entity == "deal" else "line_id"
        rows = self.warehouse.rows(
            f"select {key}, is_deleted, {title}, deal_id from {self.table[self.entity]}_as_of(%s, %s)"
            f" where {key} like %s",
            [valid, self.syncs[known], f"shop:{self.prefix}%"],
        )
        return {key: None if gone else (title, parent) for key, gone, title, parent in rows}

    def expected(self, valid: datetime, known: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, replay in self.replays.items():
            key = f"shop:{self.prefix}{number}"
            there, said = replay.as_of(valid, known)
            if there and said is not None:
                parent = f"shop:{self.prefix}p{said[2]}" if self.entity == "line" else key
                found[key] = (said[0], parent)
            elif there and self.entity == "deal":
                found[key] = None
        return found

    def look(self) -> None:
        """Read all that is known by now once more: it is what the replay says, and what was read before."""
        for valid, known in self.times():
            told = self.as_of(valid, known)
            assert told == self.expected(valid, known), f"as of {valid}, known at sync {known}"
            assert self.read.setdefault((valid, known), told) == told

    def play(self, acts: Sequence[Act | str]) -> None:
        for act in acts:
            if isinstance(act, Act):
                self.act(act)
            else:
                self.sync()
        self.sync()
        self.look()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("shop"), shop=SHOP)


@pytest.fixture
def road(warehouse: Warehouse, folder: Path) -> Road:
    found = Road(warehouse, load(folder, {}))
    sync.prepare(found)
    for name in Shop.table.values():  # filled for the first time, with nothing
        sync.refresh_table(found, tables()[name])
    return found


@settings(max_examples=examples(60))
@given(ACTS)
@example([Act(0, 1, "A"), SYNC, Act(0, 3, "B"), SYNC, Act(0, 2, "C")])  # late
@example([Act(0, 1, "A", "x"), SYNC, Act(0, 3, "A", "y"), SYNC, Act(0, 2, "C")])  # late, and then as before
@example([Act(0, 1, "A"), Act(0, 3, "A"), SYNC, Act(0, 2, "B")])  # a stamp was renewed meanwhile
@example([Act(0, 1, "A"), SYNC, Act(0, None, ""), SYNC, Act(0, 2, "A"), SYNC, Act(0, 1, "B")])  # restored
@example([Act(0, 1, "A"), Act(0, 2, "B"), Act(0, 3, "C")])  # several between two syncs
def test_a_record_of_its_own_is_at_any_time_what_a_replay_says(road: Road, acts: list[Act | str]) -> None:
    Shop(road, "deal").play(acts)


@settings(max_examples=examples(60))
@given(ACTS)
@example(
    [
        Act(0, 1, "A"),
        Act(1, 2, "B"),
        SYNC,
        Act(0, 3, ""),
        SYNC,
        Act(0, 4, "A"),
        SYNC,
        Act(0, 2, "C", parent=1),
    ]
)
@example([Act(0, 1, "A"), SYNC, Act(0, 3, "A", parent=1), SYNC, Act(0, 2, "B")])
@example([Act(0, 1, "A"), SYNC, Act(0, 3, "B"), SYNC, Act(0, 2, "")])  # gone for a while, told of late
def test_a_row_of_a_parent_is_at_any_time_what_a_replay_says(road: Road, acts: list[Act | str]) -> None:
    Shop(road, "line").play(acts)


@settings(max_examples=examples(40))
@given(ACTS)
@example([Act(0, 2, "A"), SYNC, Act(0, 1, "B")])  # late: it was there earlier than was known
@example(
    [Act(0, 1, "A"), SYNC, Act(0, 4, "B"), SYNC, Act(0, 2, ""), SYNC, Act(0, 3, "C")]
)  # gone for a while, told of late
def test_steps_of_deals_follow_what_is_told_of_late(road: Road, acts: list[Act | str]) -> None:
    """A row of core.deal need not differ for that, and its steps do."""
    shop, steps = Shop(road, "deal"), tables()["core.deal_step"]
    for act in [*acts, SYNC]:
        if isinstance(act, Act):
            shop.act(act)
        else:
            shop.sync()
            sync.refresh_table(road, steps)
    for day in [
        *((START + timedelta(days=n)).date() for n in (-1, 0, 1)),
        (shop.now() + timedelta(days=1)).date(),
    ]:
        told = "select * from marts.stage_time_as_of(%s, {}) where deal_id like %s order by deal_id, visit"
        kept, read_off = (
            road.warehouse.rows(told.format(known), [day, f"shop:{shop.prefix}%"])
            for known in ("'infinity'", "clock_timestamp()")
        )
        assert kept == read_off, f"the steps that are kept tell {day} otherwise than the versions"
    assert sync.refresh_table(road, steps, everything=True).quiet


@settings(max_examples=examples(15))
@given(st.sampled_from(list(Shop.table)), ACTS)
def test_a_rebuild_and_a_table_made_anew_change_nothing_that_was_read(
    road: Road, entity: str, acts: list[Act | str]
) -> None:
    shop = Shop(road, entity)
    shop.play(acts)
    shop.sync(everything=True)
    shop.look()
    road.warehouse.execute("delete from ops.table_version where table_name = %s", [Shop.table[entity]])
    sync.prepare(road)
    shop.sync()
    shop.look()


@settings(max_examples=examples(15))
@given(st.sampled_from(list(Shop.table)), ACTS.map(lambda acts: [a for a in acts if a != SYNC]))
def test_what_raw_held_before_the_table_was_first_filled_is_known_since_raw_saw_it(
    warehouse: Warehouse, folder: Path, entity: str, acts: list[Act]
) -> None:
    """Of versions with one and the same stamp the one that was heard last is known from the beginning."""
    road = Road(warehouse, load(folder, {}))
    with warehouse.transaction() as conn:
        conn.execute("set local session_replication_role = replica")
        conn.execute("truncate ops.row_version, ops.version_mark")
        conn.execute("drop table if exists core.deal, core.deal_line cascade")
    sync.prepare(road)
    shop = Shop(road, entity)
    stamps: set[tuple[int, int | None]] = set()
    for act in acts:
        if (act.number, act.stamp) not in stamps:
            stamps.add((act.number, act.stamp))
            shop.act(act)
            shop.syncs.append(shop.now())
    sync.refresh_table(road, tables()[Shop.table[entity]])
    shop.look()


def test_an_analyst_reads_rows_as_of_a_time(road: Road) -> None:
    road.warehouse.execute(
        "do $$ begin if to_regrole('analyst') is null then create role analyst nologin; end if; end $$"
    )
    with road.warehouse.transaction() as conn:
        for statement in ("usage on schema core", "select on all tables in schema core"):
            conn.execute(f"grant {statement} to analyst")
    shop = Shop(road, "deal")
    shop.play([Act(0, 1, "A"), SYNC, Act(0, 2, "B")])
    with road.warehouse.transaction() as conn:
        conn.execute("set local role analyst")
        key = f"shop:{shop.prefix}0"
        then = conn.execute(
            "select title from core.deal_as_of(%s) where deal_id = %s", [START + timedelta(hours=1), key]
        ).fetchall()
        versions = conn.execute(
            "select title, said_to from core.deal_versions where deal_id = %s order by said_from", [key]
        ).fetchall()
    assert then == [("A",)]
    assert versions == [("A", START + timedelta(hours=2)), ("B", None)]


PEOPLE = """system: shop
connector: files
role: crm
title: Shop
read:
  core.contact:
    from: contact
    fields: {full_name: name, phone: {from: phone, clean: phone}}
"""


def test_another_cleaning_reads_anew_what_was_cleaned_before_and_what_was_known_stays(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an update of the program, or of the library that knows which numbers are in use, brings it."""
    road = Road(warehouse, load(write_folder(tmp_path, shop=PEOPLE), {}))
    table = tables()["core.contact"]

    def phones(*known: datetime) -> list[str | None]:
        as_of = "_as_of(now(), %s)" if known else ""
        return [
            phone
            for (phone,) in warehouse.rows(f"select phone from core.contact{as_of}", list(known) or None)
        ]

    monkeypatch.setattr(clean_values, "clean", lambda kind, values, country: [Cleaned("+7") for _ in values])
    monkeypatch.setattr(clean_values, "fingerprint", lambda: "before")
    sync.prepare(road)
    record = Record("1", b'{"name": "A", "phone": "8 916 123-45-67"}', START)
    capabilities = Capabilities(entities=(Entity("contact", incremental=True),))
    store_page(warehouse, "shop", capabilities, Page("contact", [record]))
    sync.refresh_table(road, table)
    assert phones() == ["+7"]
    before = warehouse.scalar("select clock_timestamp()")
    monkeypatch.undo()
    sync.prepare(road)
    sync.refresh_table(road, table)
    assert phones() == ["+79161234567"]
    assert phones(before) == ["+7"]
    sync.prepare(road)
    assert sync.refresh_table(road, table).quiet
