"""Files that come again, contradict each other or hold what no store can keep: from the folder into `raw`."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from pipelines.raw.load import Batch, read_source
from resources.connector import Capabilities, Change, Entity, Finding, Page, Record, Reject, SourceError
from resources.crm.files import Files, connect
from resources.warehouse import Warehouse

NOON = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
HEAD = "ID;Сумма\n"


def at(hour: float) -> datetime:
    """A time of the day of the test."""
    return NOON + timedelta(hours=hour)


@dataclass
class Folder:
    """A drop folder, the raw tables it is read into, and a clock."""

    path: Path
    warehouse: Warehouse
    system: str
    options: dict[str, Any]
    hour: float = 0

    def drop(self, name: str, content: str | bytes, hour: float | None = None) -> None:
        """Write a file, stamped now or as told; it has rested by the next read."""
        file = self.path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.touch(name, hour)

    def touch(self, name: str, hour: float | None = None) -> None:
        stamp = at(self.hour if hour is None else hour).timestamp()
        os.utime(self.path / name, (stamp, stamp))

    def source(self) -> Files:
        files = connect(self.system, {"folder": str(self.path), "tables": {"sale": self.options}})
        files.clock = lambda: at(self.hour)
        return files

    def read(
        self, *, hours: float = 1, full: bool = False, rescan: bool = False, sweep: bool = False
    ) -> Batch:
        """Read an hour later; the batch of the read itself."""
        self.hour += hours
        return read_source(
            self.warehouse, self.source(), now=at(self.hour), full=full, rescan=rescan, sweep=sweep
        )[0]

    def rows(self, column: str = "Сумма") -> dict[str, str]:
        return dict(
            self.warehouse.rows(
                f"select source_id, payload->>%s from raw.{self.system}_sale where is_current and not deleted",
                [column],
            )
        )

    def apart(self) -> list[tuple[str, str, str]]:
        """What is set apart: place, deal, reason."""
        return self.warehouse.rows(
            "select place, parent_id, reason from ops.quarantine"
            " where source = %s and resolved_at is null order by place",
            [self.system],
        )


Make = Callable[..., Folder]
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def store(server_url: str, template: str) -> Warehouse:
    """One database for all tests here; each has a system of its own in it."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database files_again template {template}")
    return Warehouse(f"{server_url.rsplit('/', 1)[0]}/files_again")


@pytest.fixture
def folder(tmp_path: Path, store: Warehouse) -> Make:
    def make(**options: Any) -> Folder:
        table = {"pattern": "*.csv", "key": ["ID"], "mode": "append", **options}
        return Folder(tmp_path, store, f"branch{next(numbers)}", table)

    return make


# --- contents that come again ---


@pytest.mark.parametrize("how", [{}, {"rescan": True}, {"full": True}], ids=["news", "rescan", "full"])
@pytest.mark.parametrize("name", ["a.csv", "copy of a.csv"])
def test_a_content_loaded_long_ago_overrides_nothing_however_new_its_file_is(
    folder: Make, name: str, how: dict[str, bool]
) -> None:
    place = folder()
    place.drop("a.csv", f"{HEAD}1;10\n2;20\n")
    place.read()
    place.drop("b.csv", f"{HEAD}1;11\n")
    place.read()
    old = (place.path / "a.csv").read_bytes()
    place.hour += 1
    place.drop(name, old)
    batch = place.read(**how)
    assert batch.error == ""
    assert batch.quiet
    assert place.rows() == {"1": "11", "2": "20"}
    (stamp,) = place.warehouse.rows(
        f"select modified_at from raw.{place.system}_sale where source_id = '2' and is_current"
    )[0]
    assert stamp == at(0), "a row is as old as the file that it came in"


def test_a_full_read_gives_what_the_single_reads_gave(folder: Make) -> None:
    place = folder()
    for hour, (name, amount) in enumerate([("a.csv", 1), ("b.csv", 2), ("c.csv", 3)]):
        place.drop(name, f"{HEAD}1;{amount}\n{amount}0;{amount}\n")
        place.hour = hour
        place.read(hours=0.5)
    for name in ("a.csv", "b.csv"):
        place.touch(name, 5)
    place.hour = 6
    assert place.read(full=True).quiet
    assert place.rows() == {"1": "3", "10": "1", "20": "2", "30": "3"}


def test_a_copy_of_what_a_file_held_before_its_correction_is_no_news(folder: Make) -> None:
    place = folder()
    place.drop("a.csv", f"{HEAD}1;10\n")
    place.read()
    place.drop("a.csv", f"{HEAD}1;12\n")
    place.read()
    place.drop("a (old).csv", f"{HEAD}1;10\n")
    assert place.read(full=True).error == ""
    assert place.rows() == {"1": "12"}


def test_a_correction_under_the_same_name_counts_however_old_its_stamp(folder: Make) -> None:
    place = folder()
    place.drop("a.csv", f"{HEAD}1;10\n")
    place.read()
    place.drop("a.csv", f"{HEAD}1;12\n", hour=-48)
    place.read()
    assert place.rows() == {"1": "12"}


@pytest.mark.parametrize("mode", ["append", "snapshot"])
@pytest.mark.parametrize("how", [{}, {"full": True}], ids=["news", "full"])
def test_a_file_put_back_to_what_it_held_before_is_told_and_taken_only_if_meant(
    folder: Make, mode: str, how: dict[str, bool]
) -> None:
    place = folder(mode=mode)
    place.drop("a.csv", f"{HEAD}1;10\n2;20\n")
    place.read()
    place.drop("a.csv", f"{HEAD}1;11\n3;30\n")
    place.read()
    stored = place.rows()
    place.drop("a.csv", f"{HEAD}1;10\n2;20\n")
    assert [change.source_id for change in _told(place).changes(at(0))] == ["a.csv"], "told by a sensor too"
    batch = place.read(**how)
    assert "a.csv: it holds again what a.csv of 2026-02-10 12:00 UTC held" in batch.error
    assert "`allow_restore` of sale" in batch.error
    assert place.rows() == stored
    assert place.read(**how).error == batch.error, "told until somebody acts"
    place.options["allow_restore"] = True
    assert place.read(**how).error == ""
    assert place.rows()["1"] == "10"
    assert place.rows()["2"] == "20"
    place.options["allow_restore"] = False
    assert place.read(**how).quiet, "what was put back on purpose is the newest now"


def _told(place: Folder) -> Files:
    from pipelines.raw.memory import tell_known

    files = place.source()
    tell_known(place.warehouse, files)
    files.clock = lambda: at(place.hour + 1)
    return files


def test_an_old_snapshot_under_a_new_name_deletes_nothing_and_is_told(folder: Make) -> None:
    place = folder(mode="snapshot", allow_shrink=True)
    place.drop("monday.csv", f"{HEAD}1;10\n")
    place.read()
    place.drop("tuesday.csv", f"{HEAD}1;11\n2;20\n")
    place.read()
    place.drop("copy.csv", f"{HEAD}1;10\n")
    batch = place.read(sweep=True)
    assert "copy.csv: it holds again what monday.csv" in batch.error
    assert "tuesday.csv has replaced since" in batch.error
    assert place.rows() == {"1": "11", "2": "20"}
    finding = _told(place).check()[1]
    assert not finding.ok
    assert "copy.csv" in finding.message
    with pytest.raises(SourceError, match="holds again"):
        list(_told(place).keys("sale"))
    (place.path / "copy.csv").unlink()
    assert place.read(sweep=True).error == ""
    place.drop("wednesday.csv", f"{HEAD}2;25\n")
    place.read(sweep=True)
    assert place.rows() == {"2": "25"}


def test_two_files_that_come_together_are_both_read_and_remembered_beside_a_broken_third(
    folder: Make,
) -> None:
    place = folder()
    place.drop("a.csv", f"{HEAD}1;10\n", hour=-2)
    place.drop("b.csv", f"{HEAD}1;11\n2;20\n", hour=-1)
    place.drop("c.csv", "")
    batch = place.read()
    assert "c.csv" in batch.error
    assert place.rows() == {"1": "11", "2": "20"}
    place.touch("a.csv")
    assert place.read(full=True).error == batch.error
    assert place.rows() == {"1": "11", "2": "20"}, "a.csv was loaded although c.csv could not be"
    place.drop("c.csv", f"{HEAD}3;30\n")
    assert place.read().error == ""
    assert place.rows() == {"1": "11", "2": "20", "3": "30"}


# --- what several files say of one deal ---

SALE = "№;Товар;Клиент;ИНН;Стадия;Сумма\n"
PARENT = {
    "key": ["№", "Товар"],
    "parent": "№",
    "parent_columns": ["Клиент", "ИНН", "Стадия"],
    "parent_changes": ["Стадия"],
}
FIRST = (
    f"{SALE}7;Стол;ООО «Ёлка»;0274051582;Новая;10\n7;Стул;ООО «Ёлка»;0274051582;Новая;5\n8;Стол;Б;1;Новая;1\n"
)
OTHER = f"{SALE}7;Стол;АО Другой;7736050003;Закрыта;99\n9;Стол;В;2;Новая;2\n"


def test_a_number_that_stands_for_another_client_in_another_file_is_set_apart_and_rewrites_nothing(
    folder: Make,
) -> None:
    place = folder(**PARENT)
    place.drop("январь.csv", FIRST)
    place.read()
    place.drop("февраль.csv", OTHER)
    batch = place.read()
    assert (batch.added, batch.changed, batch.deleted, batch.rejected) == (1, 0, 0, 1)
    assert place.rows() == {"7|Стол": "10", "7|Стул": "5", "8|Стол": "1", "9|Стол": "2"}
    ((where, deal, reason),) = place.apart()
    assert (where, deal) == ("февраль.csv, line 2", "7")
    for words in ("февраль.csv: № 7 stands in январь.csv too", 'Клиент is "ООО «Ёлка»" there and "АО Другой" here',
                  'ИНН is "0274051582" there and "7736050003" here', "drop it again under its name"):  # fmt: skip
        assert words in reason
    assert "Стадия" not in reason, "a stage may change from file to file"
    assert place.read(full=True).rejected == 1
    assert place.apart() == [(where, deal, reason)]
    assert place.rows()["7|Стол"] == "10"


@pytest.mark.parametrize(
    ("name", "content", "amount"),
    [
        ("февраль.csv", OTHER.replace("7;Стол;АО Другой;7736050003", "70;Стол;АО Другой;7736050003"), "10"),
        ("февраль.csv", f"{SALE}9;Стол;В;2;Новая;2\n", "10"),
        ("февраль.csv", SALE, "10"),
        ("февраль.csv", OTHER.replace("АО Другой;7736050003", 'ооо ""Елка"";274051582'), "99"),
        ("январь.csv", FIRST.replace("ООО «Ёлка»;0274051582", "АО «Другой»;7736050003"), "10"),
        ("январь.csv", f"{SALE}8;Стол;Б;1;Новая;1\n", "99"),
    ],
    ids=["renumbered", "taken out", "emptied", "agrees", "the other agrees", "the other lets go"],
)
def test_either_file_may_be_corrected_and_what_was_set_apart_is_settled_at_once(
    folder: Make, name: str, content: str, amount: str
) -> None:
    place = folder(**PARENT)
    place.drop("январь.csv", FIRST)
    place.read()
    place.drop("февраль.csv", OTHER)
    place.read()
    assert len(place.apart()) == 1
    place.hour += 30  # long past the overlap: февраль.csv itself is no news any more
    place.read()
    place.drop(name, content)
    assert place.read().error == ""
    assert place.apart() == []
    assert place.rows()["7|Стол"] == amount
    told = place.warehouse.rows(
        "select key from ops.change_log where table_name = 'ops.quarantine' order by seq"
    )
    assert told[-1] == (f"{place.system}:7",)
    assert place.read(full=True).quiet, "a full read agrees"


def test_the_same_file_corrected_gives_the_deal_its_other_client(folder: Make) -> None:
    place = folder(**PARENT)
    place.drop("январь.csv", FIRST)
    place.read()
    place.drop("январь.csv", FIRST.replace("ООО «Ёлка»;0274051582", "АО «Другой»;7736050003"))
    place.read()
    assert place.apart() == []
    assert place.rows("Клиент")["7|Стол"] == "АО «Другой»"


def test_two_files_that_contradict_each_other_from_the_first_read_on_are_told_too(folder: Make) -> None:
    place = folder(**PARENT)
    place.drop("январь.csv", FIRST, hour=-2)
    place.drop("февраль.csv", OTHER, hour=-1)
    place.read()
    assert [where for where, _, _ in place.apart()] == ["февраль.csv, line 2"]
    assert place.rows()["7|Стол"] == "10"


def test_a_file_whose_deal_was_archived_with_its_file_is_still_contradicted(folder: Make) -> None:
    place = folder(**PARENT)
    place.drop("январь.csv", FIRST)
    place.read()
    (place.path / "январь.csv").unlink()
    place.drop("февраль.csv", OTHER)
    place.read()
    assert len(place.apart()) == 1
    assert place.rows()["7|Стол"] == "10"


def test_a_deal_is_what_its_newest_file_says_in_whatever_order_the_files_are_read(folder: Make) -> None:
    place = folder(**PARENT)
    newer = FIRST.replace("7;Стул;ООО «Ёлка»;0274051582;Новая;5\n", "").replace("Новая;10", "Закрыта;12")
    place.drop("январь.csv", FIRST, hour=-2)
    place.drop("февраль.csv", newer, hour=-1)
    place.read()
    expected = {"7|Стол": "12", "8|Стол": "1"}
    assert place.rows() == expected
    assert place.read(full=True).quiet
    place.drop("ещё январь.csv", FIRST.replace(";5\n", ";6\n"), hour=-3)
    place.read()
    assert place.rows() == expected, "an older export that comes late adds no line to a deal"
    assert place.apart() == []


def test_a_row_that_cannot_be_read_holds_the_deal_that_it_seems_to_belong_to(folder: Make) -> None:
    place = folder(**PARENT)
    place.drop("январь.csv", FIRST + '7;Лампа;"ООО" «Ёлка»;0274051582;Новая;5\n8;Лампа;Б;1;Новая;1;1;1\n')
    place.read()
    assert [(where, deal) for where, deal, _ in place.apart()] == [
        ("январь.csv, line 5", "7"),
        ("январь.csv, line 6", "8"),
    ]


# --- what no store can keep ---


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("sep", ["", "sep=;\r\n"])
def test_a_file_in_wide_characters_is_read_with_or_without_its_mark(
    folder: Make, encoding: str, sep: str
) -> None:
    place = folder()
    place.drop("a.csv", f"{sep}{HEAD}1;Ёлка\n2;Рога и копыта\n".encode(encoding))
    assert place.read().error == ""
    assert place.rows() == {"1": "Ёлка", "2": "Рога и копыта"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp1251"])
def test_a_row_with_a_zero_character_is_set_apart_and_the_others_go_on(folder: Make, encoding: str) -> None:
    place = folder(encoding=encoding if encoding == "cp1251" else None)
    place.drop("a.csv", f"{HEAD}1;10\n2;2\0,5\n3;30\n".encode(encoding))
    batch = place.read()
    assert batch.error == ""
    assert place.rows() == {"1": "10", "3": "30"}
    ((where, _, reason),) = place.apart()
    assert where == "a.csv, line 3"
    assert "zero characters" in reason
    kept = place.warehouse.scalar("select payload from ops.quarantine where source = %s", [place.system])
    assert json.loads(kept)["_raw"] == "2;2\0,5\n", "nothing received is lost"


@pytest.mark.parametrize(
    "content",
    [
        f"{HEAD}1;10\n".encode() + b"\0" * 64,
        f"{HEAD}1;1\0000\n".encode(),
        "ID\0;Сумма\n1;1\n".encode("utf-16"),
    ],
    ids=["half-written", "one zero byte", "in the header"],
)
def test_a_file_of_bytes_that_are_no_text_is_refused_in_words(folder: Make, content: bytes) -> None:
    place = folder()
    place.drop("a.csv", content)
    error = place.read().error
    assert "a.csv" in error
    assert "\0" not in error
    assert "; " in error


def test_a_file_name_in_another_encoding_stops_nothing(folder: Make) -> None:
    place = folder()
    name = os.fsdecode("Сделки.csv".encode("cp1251"))
    place.drop(name, f"{HEAD}1;10\n;20\n")
    batch = place.read()
    assert (batch.error, batch.added, batch.rejected) == ("", 1, 1)


class Lines:
    """A CRM that says what it is told to."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=[Entity("deal", incremental=True), Entity("deal_line", incremental=True, parent="deal")]
    )

    def __init__(self, system: str, pages: Sequence[Page], error: str = "") -> None:
        self.system, self.pages, self.error = system, pages, error

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        yield from self.pages
        if self.error:
            raise SourceError(self.error)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        yield [record.source_id for page in self.pages if page.entity == entity for record in page.records]

    def changes(self, since: datetime) -> Iterator[Change]:
        yield from ()

    def check(self) -> list[Finding]:
        return []

    def close(self) -> None: ...


BAD = [
    rb'{"title": "a\u0000b"}',
    b'{"title": "a\0b"}',
    rb'{"title": "\ud800"}',
    b'{"title": "\xff"}',
    b'{"title": ',
]


@pytest.mark.parametrize("payload", BAD, ids=["escaped", "bare", "surrogate", "no utf-8", "cut"])
def test_a_record_that_cannot_be_kept_is_set_apart_with_its_deal_and_the_others_go_on(
    store: Warehouse, payload: bytes
) -> None:
    crm = f"crm{next(numbers)}"
    good = Record("1", b'{"title": "a"}')
    pages = [
        Page("deal", [good, Record("2", payload), Record("3", b"{}")]),
        Page("deal_line", [Record("31", payload, None, "3"), Record("32", b"{}", None, "3")], complete_parents=["3"]),
    ]  # fmt: skip
    batches = read_source(store, Lines(crm, pages), entities=["deal"], now=NOON)
    assert [batch.error for batch in batches if batch.error] == []
    assert store.rows(f"select source_id from raw.{crm}_deal order by 1") == [("1",), ("3",)]
    assert store.rows(f"select source_id from raw.{crm}_deal_line") == [("32",)]
    apart = store.rows("select place, parent_id from ops.quarantine where source = %s order by place", [crm])
    assert apart == [("deal 2", "2"), ("deal_line 31", "3")]
    if b"u0000" in payload:
        reason = store.scalar("select min(reason) from ops.quarantine where source = %s", [crm])
        assert "zero character" in reason
        assert "delete it in the source" in reason
    mended = [Page("deal", [good, Record("2", b"{}"), Record("3", b"{}")]),
              Page("deal_line", [Record("31", b"{}", None, "3"), Record("32", b"{}", None, "3")], complete_parents=["3"])]  # fmt: skip
    read_source(store, Lines(crm, mended), now=at(1))
    assert (
        store.scalar("select count(*) from ops.quarantine where source = %s and resolved_at is null", [crm])
        == 0
    )


def test_zero_characters_in_ids_places_and_messages_reach_no_store(store: Warehouse) -> None:
    crm = f"crm{next(numbers)}"
    pages = [
        Page("deal", [Record("1\0", b"{}"), Record("2", b"{}")],
             rejects=[Reject("page\0 1", "no\0 id \ud800", b"\0", "4\0")]),
        Page("deal_line", [], complete_parents=["2\0"]),
    ]  # fmt: skip
    source = Lines(crm, pages, error="the portal said \0 and \ud800")
    batches = read_source(store, source, now=NOON)
    assert {batch.error for batch in batches} == {"the portal said \ufffd and ?"}
    assert store.rows(f"select source_id from raw.{crm}_deal") == [("2",)]
    assert store.rows("select place, reason from ops.quarantine where source = %s order by place", [crm]) == [
        (
            "deal 1\ufffd",
            r"it holds a zero character (\u0000), which cannot be stored; delete it in the source",
        ),
        ("page\ufffd 1", "no\ufffd id ?"),
    ]
    assert (
        store.scalar("select message from ops.batch where source = %s order by batch_id limit 1", [crm])
        == "the portal said \ufffd and ?"
    )
    read_source(store, Lines(crm, pages), now=at(1), sweep=True)
    assert store.rows(f"select source_id from raw.{crm}_deal where not deleted") == [("2",)]
