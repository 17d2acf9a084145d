"""What the mapping reads and accounting does not have any more is not read as empty, and comes back by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from pipelines import shapes, sync
from resources.connector import Page, Record, Refused
from tests.laws.acts import Act, do
from tests.laws.books import encode
from tests.laws.conftest import Towns
from tests.laws.test_shapes import Shape, shaped, states
from tests.laws.town import Done, Town, add_deal

STATUSES = "select payment_status, count(*) from feedback.deal group by 1 order by 1"
decode = msgspec.json.Decoder(float_hook=Decimal).decode


def paid(town: Town) -> None:
    for number in range(4):
        do(town, Act("new_deal", number, 4, 2))
    town.sync()
    do(town, Act("pay", 0, 0, 0))
    town.books.set_price("Стол", "2026-01-01", "100")
    town.sync()


def update(town: Town, said: Shape, entity: str, field: str) -> Callable[[], None]:
    """An update of 1C takes a property away and writes every record anew; what it returns gives the property back."""
    read, kind = town.books.read, said[entity].pop(field)
    part, _, name = field.rpartition("/")

    def bare(record: Record) -> Record:
        row: dict[str, Any] = decode(record.payload)
        if part:
            row[part] = [{n: v for n, v in line.items() if n != name} for line in row.get(part, ())]
        else:
            row.pop(field, None)
        return msgspec.structs.replace(record, payload=encode(row))

    def changed(entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        for page in read(entities, since, until):
            of_it = page.entity == entity
            yield replace(page, records=[bare(r) for r in page.records]) if of_it else page

    town.books.read = changed  # type: ignore[method-assign]
    touch(town, entity)

    def back() -> None:
        said[entity][field] = kind
        town.books.read = read  # type: ignore[method-assign]
        sync.read_shape(town.road, at_once=True)

    return back


def touch(town: Town, entity: str) -> None:
    for key, row in list(town.books.all(entity).items()):
        town.books.save(entity, key, row)
    if entity == "entry":
        town.books.posted |= set(town.books.entries)


def errors(done: Done) -> dict[str, str]:
    return {batch.entity: batch.error for batch in done.batches if batch.error}


def broken(done: Done) -> list[str]:
    return [law.sentence for law in done.laws if not law.holds]


def stored(town: Town, entity: str) -> list[Any]:
    return town.rows(
        f"select source_id, payload - 'DataVersion' from raw.onec_{entity} where is_current order by source_id"
    )


READ_ALONE = [
    ("payment", "Контрагент", "records"),
    ("payment", "Контрагент", "shape"),
    ("payment", "СуммаДокумента", "records"),
    ("payment", "РасшифровкаПлатежа/СуммаПлатежа", "records"),
    ("entry", "Сумма", "records"),
    ("entry", "Сумма", "shape"),
    ("balance", "СуммаBalance", "records"),
    ("currency", "Code", "records"),
    ("price", "Цена", "records"),
    ("price", "Цена", "shape"),
]


@pytest.mark.parametrize(("entity", "field", "told_by"), READ_ALONE)
def test_a_read_property_that_vanished_stops_its_entity_alone_until_it_is_back(
    towns: Towns, entity: str, field: str, told_by: str
) -> None:
    """Told by the records within the hour in which the shape is not asked for, or by the shape."""
    with towns(paid) as town:
        said = shaped(town)
        said[entity].setdefault(field, "Edm.String")
        town.books.rows_are_whole = told_by == "records"  # type: ignore[attr-defined]
        sync.read_shape(town.road, at_once=True)
        assert broken(town.sync()) == []
        before, statuses = stored(town, entity), town.rows(STATUSES)
        back = update(town, said, entity, field)
        if told_by == "shape":
            sync.read_shape(town.road, at_once=True)
        done = town.sync()
        (told,) = set(errors(done).values())
        assert set(errors(done)) == {entity}
        assert told.startswith(
            f"Set_{entity} has no {field}, which onec.yaml reads; give the field back"
        ) or (
            entity == "entry"
            and told.startswith(f"AccountingRegister_X has no {field}, which onec.yaml reads")
        )
        assert (stored(town, entity), town.rows(STATUSES)) == (before, statuses)
        assert done.written_back == ["bitrix24: 0 planned, 0 written back"]
        back()
        done = town.sync()
        assert (errors(done), broken(done)) == ({}, [])


def test_entries_that_came_beside_documents_while_theirs_were_refused_are_read_later(towns: Towns) -> None:
    with towns(paid) as town:
        said = shaped(town)
        sync.read_shape(town.road, at_once=True)
        town.sync()
        back = update(town, said, "entry", "Сумма")
        sync.read_shape(town.road, at_once=True)
        do(town, Act("pay", 1, 0, 0))
        add_deal(town.portal, next(iter(town.portal.all("company"))), lines=1)
        done = town.sync()
        assert set(errors(done)) == {"entry"}
        assert len(stored(town, "payment")) == 2  # other entities go on
        back()
        done = town.sync()
        assert (errors(done), broken(done)) == ({}, [])
        assert len(stored(town, "entry")) == sum(map(len, town.books.entries.values()))


def test_a_set_that_is_gone_is_told_and_holds_its_operations_until_it_is_back(towns: Towns) -> None:
    with towns(paid) as town:
        said = shaped(town)
        sync.read_shape(town.road, at_once=True)
        town.sync()
        before, gone = stored(town, "realization"), said.pop("realization")
        town.books.refused_kinds.add("realization")
        sync.read_shape(town.road, at_once=True)
        add_deal(town.portal, next(iter(town.portal.all("company"))), lines=1)
        done = town.sync()
        assert set(errors(done)) == {"realization"}
        assert errors(done)["realization"].startswith(
            "accounting does not publish Set_realization any more, which onec.yaml names; publish it again"
        )
        with town.warehouse.transaction() as conn:
            told = shapes.missing(conn, town.road.accounting, "realization")
            assert told is not None
            assert told.startswith("accounting does not publish Set_realization any more")
            assert shapes.missing(conn, town.road.accounting, "invoice") is None
        assert stored(town, "realization") == before
        assert states(town, "realization") == {("create", "held"), ("post", "held")}
        assert states(town, "invoice") == {("create", "verified")}
        said["realization"] = gone
        town.books.refused_kinds.clear()
        sync.read_shape(town.road, at_once=True)
        done = town.sync()
        assert (errors(done), broken(done)) == ({}, [])
        assert states(town, "realization") == {("create", "verified"), ("post", "verified")}


def test_a_refusal_as_unpublished_lets_the_shape_be_asked_for_at_once(towns: Towns) -> None:
    with towns(paid) as town:
        said = shaped(town)
        sync.read_shape(town.road, at_once=True)
        town.sync()
        read = town.books.read
        del said["payment"]

        def refusing(entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
            yield from read([entity for entity in entities if entity != "payment"], since, until)
            if "payment" in entities:
                raise Refused("Document_X was not read: no such set", code="8")

        town.books.read = refusing  # type: ignore[method-assign]
        town.books.unpublished = "8"  # type: ignore[attr-defined]
        town.sync()
        done = town.sync()
        assert set(errors(done)) == {"payment"}
        assert "does not publish Set_payment any more" in errors(done)["payment"]


def test_records_without_a_field_that_they_never_showed_ask_for_nothing(towns: Towns) -> None:
    """A folder of a catalog has no tax number, whatever its set has."""
    with towns(paid) as town:
        said = shaped(town)
        said["counterparty"]["НалоговыйНомер"] = "Edm.String"
        town.books.rows_are_whole = True  # type: ignore[attr-defined]
        sync.read_shape(town.road, at_once=True)
        town.sync()
        asked: list[int] = []
        town.books.shape = lambda: asked.append(1) or said  # type: ignore[attr-defined, func-returns-value]
        touch(town, "counterparty")
        done = town.sync()
        assert (errors(done), asked) == ({}, [])
