"""Files whose content was loaded before: copies, corrections, and what is put back."""

from __future__ import annotations

import pytest

from resources.connector import SourceError
from resources.crm.files.connector import Files
from tests.files.drop_folder import HEAD, Folder, Make, at

pytest_plugins = ("tests.files.drop_fixtures",)


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
