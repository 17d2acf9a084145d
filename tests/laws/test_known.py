"""Law 10 of the ledger: a report for a past day, as known at a past moment, gives the same figures ever after."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines import sync
from pipelines.refresh import refresh
from pipelines.sync import Road
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.laws.conftest import examples
from tests.laws.known_books import Company, folder_of, known_road

FIRST = date(2026, 1, 10)
DAYS = [FIRST + timedelta(days=n) for n in (10, 40)]
MIGRATIONS = Path(sync.__file__).parent / "migrations"
VERSIONS = "select count(*) from ops.row_version"


@dataclass(frozen=True)
class Document:
    number: int
    buyer: str
    day: int
    amount: int
    state: str = "posted"  # or written, deleted, gone
    kind: str = "invoice"
    currency: str = "rub"

    def do(self, company: Company) -> None:
        if self.state == "gone":
            company.say("books", "document", f"i{self.number}", None)
            return
        company.document(
            f"i{self.number}", self.buyer, FIRST + timedelta(days=self.day), self.amount, kind=self.kind,
            posted=self.state != "written", deleted=self.state == "deleted", currency=self.currency,
        )  # fmt: skip


@dataclass(frozen=True)
class Payment:
    number: int
    buyer: str
    day: int
    amount: int
    state: str = "posted"
    invoice: int | None = None
    kind: str = "receipt"

    def do(self, company: Company) -> None:
        if self.state == "gone":
            company.say("books", "payment", f"p{self.number}", None)
            return
        company.payment(
            f"p{self.number}", self.buyer, FIRST + timedelta(days=self.day), self.amount,
            "" if self.invoice is None else f"i{self.invoice}", kind=self.kind,
            posted=self.state != "written", deleted=self.state == "deleted",
        )  # fmt: skip


@dataclass(frozen=True)
class Deal:
    number: int
    manager: str
    stage: str

    def do(self, company: Company) -> None:
        company.deal(str(self.number), self.manager, self.stage, 100)


@dataclass(frozen=True)
class Named:
    """A buyer or a manager is called otherwise."""

    who: str
    name: str

    def do(self, company: Company) -> None:
        system, entity = ("shop", "employee") if self.who in "mn" else ("books", "buyer")
        company.say(system, entity, self.who, {"name": self.name})


SYNC = "sync"
BUYERS, PLACES = st.sampled_from("ab"), st.integers(0, 45)
STATES = st.sampled_from(("posted", "posted", "posted", "written", "deleted", "gone"))
ACTS = st.lists(
    st.one_of(
        st.just(SYNC),
        st.just(SYNC),
        st.builds(
            Document, st.integers(0, 3), BUYERS, PLACES, st.integers(1, 9).map(lambda n: n * 100), STATES,
            st.sampled_from(("invoice", "invoice", "realization")), st.sampled_from(("rub", "rub", "usd")),
        ),
        st.builds(
            Payment, st.integers(0, 3), BUYERS, PLACES, st.integers(1, 9).map(lambda n: n * 100), STATES,
            st.one_of(st.none(), st.integers(0, 3)), st.sampled_from(("receipt", "receipt", "refund")),
        ),
        st.builds(Deal, st.integers(0, 1), st.sampled_from("mn"), st.sampled_from(("OPEN", "WON"))),
        st.builds(Named, st.sampled_from("abmn"), st.sampled_from(("Роза", "Мак"))),
    ),
    min_size=4,
    max_size=24,
)  # fmt: skip
LATE = [
    Document(0, "a", 2, 600),
    Document(1, "a", 5, 300),
    Payment(0, "a", 6, 300),  # nobody says for what: the only one of its sum
    SYNC,
    Payment(1, "a", 7, 600, invoice=1),  # entered late, and states what the other was taken to pay
    Document(2, "b", 3, 100),  # backdated
    SYNC,
    Document(0, "b", 2, 600),
    Document(2, "b", 3, 100, "deleted"),
]


def play(company: Company, acts: Sequence[Any]) -> None:
    for act in acts:
        if act == SYNC:
            company.sync()
        else:
            act.do(company)
    company.sync()


def look(company: Company) -> None:
    """Every report that was recorded is asked for again."""
    for moment, figures in company.recorded:
        assert company.as_known(moment) == figures, f"as known at {moment}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("known"))


@pytest.fixture
def road(warehouse: Warehouse, folder: Path) -> Road:
    return known_road(warehouse, folder)


@settings(max_examples=examples(12))
@given(ACTS)
@example(LATE)
def test_a_recorded_report_stays_the_same_whatever_comes_to_be_known(road: Road, acts: list[Any]) -> None:
    company = Company(road, DAYS)
    play(company, acts)
    look(company)


@settings(max_examples=examples(8))
@given(ACTS)
@example(LATE)
@example([Document(0, "a", 2, 600), SYNC, Document(0, "a", 2, 600, "written", "realization")])
@example([Document(3, "a", 2, 600), Payment(0, "a", 3, 900, invoice=3), SYNC, Document(3, "a", 2, 500)])
def test_what_two_reports_differ_by_is_told_document_by_document(road: Road, acts: list[Any]) -> None:
    company = Company(road, DAYS)
    play(company, acts)
    moments = [moment for moment, _ in company.recorded]
    for then, now in {(moments[0], moments[-1]), (moments[-2:][0], moments[-1])}:
        for day in DAYS:
            _told_in_full(company, day, then, now)


def _told_in_full(company: Company, day: date, then: Any, now: Any) -> None:
    rows = company.restated("receivables_restatement", day, then, now)
    assert sum(row["difference"] for row in rows) == company.total("debt", day, now) - company.total(
        "debt", day, then
    )
    for row in rows:
        assert row["debt_now"] - row["debt_then"] == row["difference"] != 0
        assert row["difference"] == row["amount_change"] - row["paid_change"] + row["overpaid_change"]
        assert all(row[name] for name in ("reason", "sentence", "sentence_ru")), row
    rows = company.restated("balance_restatement", day, then, now)
    assert sum(row["difference"] for row in rows) == company.total("balance", day, now) - company.total(
        "balance", day, then
    )
    for row in rows:
        assert (
            row["difference"]
            == row["documents_change"] - row["received_change"] + row["refunded_change"]
            != 0
        )
        assert all(row[name] for name in ("reason", "sentence", "sentence_ru")), row


@settings(max_examples=examples(4))
@given(ACTS)
@example(LATE)
def test_a_rebuild_keeps_nothing_and_tables_made_anew_change_no_report(road: Road, acts: list[Any]) -> None:
    company = Company(road, DAYS)
    play(company, acts)
    kept, moments = road.warehouse.scalar(VERSIONS), "table ops.known_moment order by 1"
    known = road.warehouse.rows(moments)
    assert all(outcome.quiet for outcome in company.sync(everything=True))
    assert road.warehouse.scalar(VERSIONS) == kept, "a rebuild that changes nothing writes nothing"
    assert road.warehouse.rows(moments) == known
    look(company)
    road.warehouse.execute(
        "delete from ops.table_version where table_name in ('ledger.obligation', 'ledger.allocation', 'ledger.payment')"
    )
    sync.prepare(road)
    company.sync()
    look(company)


def test_what_a_table_says_no_more_when_it_is_made_anew_is_gone_since_then(road: Road) -> None:
    company = Company(road, DAYS)
    play(company, [Document(0, "a", 2, 600), Document(1, "a", 3, 100)])
    company.say("books", "document", "i1", None)
    road.warehouse.execute("delete from ops.table_version where table_name = 'ledger.obligation'")
    sync.prepare(road)
    company.sync()
    look(company)
    rows = road.warehouse.rows("select document_key from ledger.obligation_as_known(now())")
    assert rows == [(company.key("books", "i0"),)]


def test_a_first_load_keeps_nothing_and_a_change_keeps_what_was_replaced(road: Road) -> None:
    company = Company(road, DAYS)
    before = road.warehouse.scalar(VERSIONS)
    play(company, [Document(0, "a", 2, 600), Payment(0, "a", 3, 200)])
    assert road.warehouse.scalar(VERSIONS) == before
    play(company, [Payment(0, "a", 3, 250)])
    kept = road.warehouse.rows(
        "select table_name, row ->> 'amount' from ops.row_version where table_name in"
        " ('ledger.payment', 'ledger.allocation') order by 1"
    )
    assert kept == [("ledger.allocation", "200.00"), ("ledger.payment", "200.00")]
    versions = road.warehouse.rows(
        "select amount, known_to is null from ledger.allocation_versions order by known_from"
    )
    assert versions == [(200, False), (250, True)]


def test_before_the_ledger_was_worked_out_no_report_says_anything(warehouse: Warehouse, folder: Path) -> None:
    road = known_road(warehouse, folder)
    company = Company(road, DAYS)
    before = warehouse.scalar("select since - interval '1 second' from marts.known")
    play(company, [Document(0, "a", 2, 600), Payment(0, "a", 3, 200)])
    assert all(not rows for rows in company.as_known(before).values())
    (restated,) = company.restated("balance_restatement", DAYS[0], before, "infinity")
    assert (restated["balance_then"], restated["balance_now"]) == (0, 400)


def test_a_report_made_while_the_ledger_is_worked_out_can_be_asked_for_again(road: Road) -> None:
    """It is not known at its own clock's time what a transaction writes that has not ended: `up_to` tells what is."""
    company = Company(road, DAYS)
    play(company, [Document(0, "a", 2, 600)])
    company.document("i0", "a", FIRST, 900)
    made: list[Any] = []

    with road.warehouse.transaction() as conn:
        for name in ("ledger.document", "ledger.position", "ledger.obligation"):
            reads = road.reads.get(name)
            refresh(conn, tables()[name], reads.sources if reads else ())
        reader = threading.Thread(target=lambda: made.append(company.report()))
        reader.start()
        reader.join()
    ((moment, figures),) = made
    assert figures["receivables_as_of", DAYS[0]][0][4] == 600
    assert company.as_known(moment) == figures
    assert company.as_known("infinity")["receivables_as_of", DAYS[0]][0][4] == 900


def test_what_was_kept_of_core_before_the_ledger_kept_anything_is_kept_on(
    server_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute("create database known_before")
    older = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, older)
    for file in (older / "versions").glob("[0-9]*"):
        if file.name > "0023":
            file.unlink()
    warehouse = Warehouse(f"{server_url.rsplit('/', 1)[0]}/known_before")
    warehouse._upgrade(older)
    warehouse.execute(
        "insert into ops.core_version values ('core.deal', 'shop:1', 'shop:1', '2026-01-01', '2026-01-02', '{\"title\": \"A\"}')"
    )
    assert warehouse.migrate()
    for kept in ("ops.row_version", "core.kept_version"):
        assert warehouse.rows(f"select key, row ->> 'title' from {kept}") == [("shop:1", "A")]
    assert warehouse.rows("table ledger.kept_version") == []
    with pytest.raises(psycopg.Error, match="append-only"):
        warehouse.execute("delete from ops.row_version")
