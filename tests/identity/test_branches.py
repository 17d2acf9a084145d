"""Which record of accounting a branch is, where a record there or here does not say its KPP."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from pipelines.refresh import refresh
from pipelines.table import tables
from tests.identity.records import Records

INN, FIRST, SECOND = "7707083893", "770701001", "540243001"
BARE, ONE, TWO = f"RU:{INN}", f"RU:{INN}:{FIRST}", f"RU:{INN}:{SECOND}"
KPP = {BARE: None, ONE: FIRST, TWO: SECOND}
CARDS: dict[str, str | None] = {"onec:bare": None, "onec:first": FIRST, "onec:second": SECOND}


def known(records: Records, *counterparties: str) -> None:
    """Each is the details of a client's record that has one deal."""
    for name in counterparties:
        number = list(KPP).index(name)
        record = f"a:{number}"
        records.record(record, name="Ромашка")
        records.put(
            "core.requisite", f"a:r{number}", client_record_id=record, country="RU", tax_number=INN, kpp=KPP[name],
            legal_name="Ромашка ООО", legal_name_key="ромашка",
        )  # fmt: skip
        records.put("core.deal", f"a:d{number}", client_record_id=record, currency="RUB", amount=100)


def card(records: Records, key: str, *, deleted: bool = False) -> None:
    records.put(
        "core.accounting_counterparty", key, tax_number=INN, kpp=CARDS[key], name="Ромашка ООО", name_key="ромашка",
        is_deleted=deleted,
    )  # fmt: skip


def written(records: Records, counterparty: str, key: str, state: str = "verified") -> None:
    """An invoice of the counterparty's deal stands under a record of accounting."""
    document = {"counterparty_id": counterparty, "counterparty_key": key}
    deal = f"a:d{list(KPP).index(counterparty)}"
    records.conn.execute("set local session_replication_role = replica")
    records.conn.execute(
        "insert into ops.operation (operation_id, target, kind, action, key, subject, state, content)"
        " values (%s, 'onec', 'invoice', 'create', %s, %s, %s, %s)",
        [uuid4(), str(uuid4()), deal, state, Jsonb({"document": document, "lines": []})],
    )
    records.conn.execute("set local session_replication_role = origin")


def found(records: Records) -> dict[str, tuple[str, str | None]]:
    """Origin and record of each; the same when everything is worked out anew."""

    def rows() -> dict[str, tuple[str, str | None]]:
        told = records.rows("select counterparty_id, origin, counterparty_key from documents.counterparty")
        return {name: (origin, None if origin == "created" else key) for name, origin, key in sorted(told)}

    records.refresh()
    made = rows()
    records.refresh(everything=True)
    assert rows() == made
    return made


def test_the_only_branch_is_the_record_that_has_no_kpp(records: Records) -> None:
    known(records, ONE)
    card(records, "onec:bare")
    assert found(records) == {ONE: ("found", "onec:bare")}


def test_a_record_without_a_kpp_is_not_taken_for_two_branches(records: Records) -> None:
    known(records, ONE)
    card(records, "onec:bare")
    found(records)
    known(records, TWO)
    assert found(records) == {ONE: ("branchless", None), TWO: ("branchless", None)}
    records.put(
        "core.requisite",
        "a:r2",
        client_record_id="a:2",
        country="RU",
        tax_number=INN,
        kpp=SECOND,
        is_active=False,
    )
    assert found(records)[ONE] == ("found", "onec:bare"), "a branch that signs nothing claims nothing"


def test_a_kpp_entered_in_accounting_answers_it(records: Records) -> None:
    known(records, ONE, TWO)
    card(records, "onec:bare")
    found(records)
    records.drop("core.accounting_counterparty", "onec:bare")
    card(records, "onec:first")
    assert found(records) == {ONE: ("found", "onec:first"), TWO: ("created", None)}


def test_a_branch_whose_documents_stand_there_keeps_the_record_and_the_other_is_asked_about(
    records: Records,
) -> None:
    known(records, ONE)
    card(records, "onec:bare")
    written(records, ONE, "onec:bare")
    known(records, TWO)
    assert found(records) == {ONE: ("found", "onec:bare"), TWO: ("branchless", None)}
    written(records, TWO, "onec:bare")
    known(records, BARE)
    assert found(records) == {
        BARE: ("found", "onec:bare"),
        ONE: ("branchless", None),
        TWO: ("branchless", None),
    }


@pytest.mark.parametrize(
    ("state", "origin"), [("verified", "found"), ("rejected", "ambiguous"), ("reversed", "ambiguous")]
)
def test_a_number_without_its_branch_stays_where_its_documents_stand(
    records: Records, state: str, origin: str
) -> None:
    known(records, BARE)
    card(records, "onec:first")
    assert found(records) == {BARE: ("found", "onec:first")}
    written(records, BARE, "onec:first", state)
    card(records, "onec:second")
    assert found(records)[BARE][0] == origin


def test_documents_under_two_records_settle_nothing(records: Records) -> None:
    known(records, BARE)
    card(records, "onec:first")
    card(records, "onec:second")
    written(records, BARE, "onec:first")
    assert found(records) == {BARE: ("found", "onec:first")}
    written(records, BARE, "onec:second")
    card(records, "onec:first", deleted=True)
    card(records, "onec:first")
    assert found(records) == {BARE: ("ambiguous", None)}


@pytest.mark.parametrize("standing", [None, (ONE, "onec:bare"), (BARE, "onec:second")])
def test_no_two_branches_are_ever_one_record(records: Records, standing: Any) -> None:
    """Whatever of three details is known here, and whatever of three records accounting has."""
    if standing:
        written(records, *standing)
    for ours in product((False, True), repeat=3):
        for theirs in product((False, True), repeat=3):
            for number, name in enumerate(KPP):
                records.drop("core.requisite", f"a:r{number}")
                if ours[number]:
                    known(records, name)
            for key, there in zip(CARDS, theirs, strict=True):
                card(records, key, deleted=not there)
            for name in ("core.requisite_counterparty", "core.counterparty", "documents.counterparty"):
                refresh(records.conn, tables()[name])
            branches = [
                key for (key,) in records.rows(
                    "select counterparty_key from documents.counterparty where kpp is not null and counterparty_key is not null"
                )
            ]  # fmt: skip
            assert len(branches) == len(set(branches)), (ours, theirs)
