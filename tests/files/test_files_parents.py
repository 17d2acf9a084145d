"""What several files say of one deal: the newest counts, and contradictions are told."""

from __future__ import annotations

import pytest

from tests.files.drop_folder import Make

pytest_plugins = ("tests.files.drop_fixtures",)

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
