"""Fields that vanish from accounting hold the kinds that name them, and nothing else; entries of what was just posted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pipelines import shapes, sync
from pipelines.operations.plan import Planned
from resources.connector import Page, Record
from tests.laws.books import Died, encode
from tests.laws.conftest import Towns
from tests.laws.town import Town, add_deal

Shape = dict[str, dict[str, str]]


def shaped(town: Town) -> Shape:
    """Let the base publish its shape: everything that the mapping file names. It may be changed."""
    system = town.road.accounting
    said: Shape = {"entry": {"": "AccountingRegister_X"}}
    for fields in (system.fields_read(), shapes.fields_written(system)):
        for entity, names in fields.items():
            said.setdefault(entity, {"": f"Set_{entity}"}).update(dict.fromkeys(names, "Edm.String"))
    town.books.shape = lambda: {entity: dict(fields) for entity, fields in said.items()}  # type: ignore[attr-defined]
    return said


def looked_at(town: Town) -> Planned:
    """The accounting's shape is asked for anew, and what it changes is planned."""
    sync.read_shape(town.road, at_once=True)
    return sync.plan_operations(town.road)


def states(town: Town, kind: str) -> set[tuple[str, str]]:
    return set(
        town.rows(
            "select action, state from ops.operation o where kind = %s and subject ="
            " (select subject from ops.operation where kind = 'invoice' order by planned_at desc limit 1)",
            [kind],
        )
    )


@pytest.mark.parametrize("field", ["Комментарий", "Товары/СтавкаНДС"])
def test_a_field_that_vanished_holds_the_kinds_that_write_it_until_it_is_back(
    towns: Towns, field: str
) -> None:
    with towns() as town:
        said = shaped(town)
        town.sync()
        del said["realization"][field]
        assert looked_at(town).held == 0  # what is written stays as it is
        add_deal(town.portal, next(iter(town.portal.all("company"))), lines=1)
        town.sync()
        assert states(town, "invoice") == {("create", "verified")}
        assert states(town, "realization") == {("create", "held"), ("post", "held")}
        (reason,) = {
            reason
            for (reason,) in town.rows(
                "select e.reason from ops.operation_event e join ops.operation o using (operation_id)"
                " where o.kind = 'realization' and e.to_state = 'held' and o.subject ="
                " (select subject from ops.operation where kind = 'invoice' order by planned_at desc limit 1)"
            )
        }
        assert reason.startswith(f"Set_realization has no {field}, which onec.yaml writes")
        said["realization"][field] = "Edm.String"
        assert looked_at(town).released == 2
        sync.carry_operations(town.road)
        assert states(town, "realization") == {("create", "verified"), ("post", "verified")}


def test_a_field_that_is_only_read_holds_when_it_was_there_once(towns: Towns) -> None:
    with towns() as town:
        said = shaped(town)
        system = town.road.accounting
        del said["counterparty"]["НалоговыйНомер"], said["invoice"]["Number"]
        town.sync()
        with town.warehouse.transaction() as conn:
            assert shapes.missing(conn, system, "invoice") is None  # it never was there
        said["invoice"]["Number"] = "Edm.String"
        looked_at(town)
        del said["invoice"]["Number"]
        looked_at(town)
        with town.warehouse.transaction() as conn:
            assert "Set_invoice has no Number, which onec.yaml reads" in str(
                shapes.missing(conn, system, "invoice")
            )
            assert shapes.missing(conn, system, "realization") is None


def test_a_field_that_is_kept_as_a_key_is_there(towns: Towns) -> None:
    with towns() as town:
        said = shaped(town)
        said["realization"]["Товары/СтавкаНДС_Key"] = said["realization"].pop("Товары/СтавкаНДС")
        town.sync()
        with town.warehouse.transaction() as conn:
            assert shapes.missing(conn, town.road.accounting, "realization") is None


def test_an_equal_shape_is_quiet_and_asked_for_once_an_hour(towns: Towns) -> None:
    with towns() as town:
        said = shaped(town)
        asked: list[int] = []
        town.books.shape = lambda: asked.append(1) or said  # type: ignore[attr-defined, func-returns-value]
        system, now = town.road.accounting, datetime.now(UTC)
        assert shapes.keep_shape(town.warehouse, system, town.books, now=now)
        for _ in range(2):
            town.sync()
        logged = town.logged()
        assert not shapes.keep_shape(town.warehouse, system, town.books, now=now + timedelta(minutes=59))
        assert len(asked) == 1
        assert not shapes.keep_shape(town.warehouse, system, town.books, now=now + timedelta(minutes=61))
        assert (len(asked), town.logged()) == (2, logged)
        assert town.sync().planned.looked_at == 0


def read_by_key(town: Town, dies_at: int = 0) -> list[tuple[str, list[str]]]:
    """Let the base be read by key, and let no ordinary read bring the entries of what we post, as of documents outside
    its window. What was asked for, in order; the reader dies before page `dies_at`, once."""
    asked: list[tuple[str, list[str]]] = []
    deaths = [dies_at] if dies_at else []

    def read_keys(entity: str, keys: Sequence[str]) -> Iterator[Page]:
        asked.append((entity, list(keys)))
        rows = [town.books.all(entity)[key] for key in keys]
        lines = [town.books._line(row) for key in keys for row in town.books.entries.get(key, ())]
        for number, page in enumerate(
            (
                Page("entry", lines, complete_parents=keys),
                Page(entity, [Record(row["Ref_Key"], encode(row)) for row in rows]),
            ),
            start=1,
        ):
            if deaths == [number]:
                deaths.clear()
                raise Died
            yield page

    post = town.books.post

    def unnoticed(kind: str, key: str) -> None:
        post(kind, key)
        town.books.posted.clear()

    town.books.read_keys = read_keys  # type: ignore[attr-defined]
    town.books.post = unnoticed  # type: ignore[method-assign]
    return asked


def posted(town: Town) -> set[str]:
    return {key for key, row in town.books.all("realization").items() if row["Posted"]}


def test_documents_that_were_just_posted_are_read_once_with_their_entries_whatever_their_date(
    towns: Towns,
) -> None:
    with towns(Town.sync) as town:
        asked, before = read_by_key(town), posted(town)
        add_deal(town.portal, next(iter(town.portal.all("company"))), lines=1)
        done = town.sync()
        (key,) = posted(town) - before
        assert asked == [("realization", [key])]
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert [
            b for b in done.batches if b.entity == "realization" and b.mode != "sweep" and b.received
        ] == []
        town.sync()
        assert len(asked) == 1


@pytest.mark.parametrize("page", [1, 2])
def test_a_carrier_that_dies_while_it_reads_what_posting_made_loses_no_entry(towns: Towns, page: int) -> None:
    with towns(Town.sync) as town:
        asked, before = read_by_key(town, dies_at=page), posted(town)
        add_deal(town.portal, next(iter(town.portal.all("company"))), lines=1)
        with pytest.raises(Died):
            town.sync()
        (key,) = posted(town) - before
        assert town.rows("select state from ops.operation where key = %s and action = 'post'", [key]) == [
            ("confirmed",)
        ]
        done = town.sync()
        assert asked == [("realization", [key])] * 2
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert town.sync().planned.quiet
