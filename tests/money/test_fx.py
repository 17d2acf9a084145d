"""A payment at another rate than its realization: the difference is a row of its own, and explained to the kopeck."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines import laws
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse
from tests.gate.batch import undone
from tests.marts.company import BOOKS, DOLLAR, ROUBLE
from tests.money.test_lines import put, setting

LEDGER = ("position", "obligation", "allocation", "fx_difference", "variance", "settlement")
BUYER = "onec:buyer"


class Inside:
    """A warehouse to `laws`, within a transaction that is rolled back."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(query).fetchall()


def sell(
    conn: Connection,
    amount: Decimal,
    on: str = "2026-03-10",
    rate: str | None = "80",
    units: int = 1,
    currency: str = DOLLAR,
) -> None:
    """A deal whose invoice and posted realization stand on both sides."""
    for kind in ("invoice", "realization"):
        common = {"document_key": f"onec:{kind}", "kind": kind, "document_date": on, "amount": amount,
                  "counterparty_key": BUYER, "currency_key": currency}  # fmt: skip
        put(
            conn,
            "documents.document",
            **common,
            deal_id="crm:1",
            revision=1,
            has_goods=True,
            has_services=False,
        )
        put(
            conn,
            "ledger.document",
            **common,
            **BOOKS,
            source_id=kind,
            is_posted=True,
            rate=rate,
            rate_units=units,
        )


def pay(
    conn: Connection, amount: Decimal, on: str, rate: str | None, units: int = 1, currency: str = DOLLAR
) -> None:
    key = f"onec:pay {on} {amount}"
    put(conn, "ledger.payment", payment_key=key, **BOOKS, source_id=key, kind="receipt", paid_on=on, is_posted=True,
        counterparty_key=BUYER, currency_key=currency, amount=amount, rate=rate, rate_units=units)  # fmt: skip


def settle(conn: Connection) -> dict[str, tuple[Any, ...]]:
    """Refresh the ledger; expected, actual, variance and unexplained by measure of the rouble's settlements."""
    for name in LEDGER:
        refresh(conn, tables()[f"ledger.{name}"], everything=True)
    assert laws.every_kopeck_is_explained(Inside(conn)).holds  # type: ignore[arg-type]
    rows = conn.execute(
        "select measure, expected, actual, variance, unexplained from ledger.settlement where currency_key = %s",
        [ROUBLE],
    ).fetchall()
    return {measure: tuple(sums) for measure, *sums in rows}


@pytest.fixture
def ledger(books: Warehouse) -> Any:
    with undone(books) as conn:
        setting(conn, "onec", "currency", "RUB")
        setting(conn, "onec", "post_realization", True)
        for day, rate in (("2026-03-01", "80"), ("2026-03-20", "90.5")):
            put(conn, "core.currency_rate", rate_id=f"onec:{day}", **BOOKS, source_id=day, currency="USD",
                valid_from=day, rate=rate, units=1)  # fmt: skip
        yield conn


def test_a_payment_at_another_rate_leaves_a_difference_with_its_reason_and_both_rates(
    ledger: Connection,
) -> None:
    sell(ledger, Decimal("1000.00"))
    pay(ledger, Decimal("1000.00"), "2026-03-25", "90.5")
    sums = settle(ledger)
    assert sums == {"exchanged": (80_000, 90_500, -10_500, 0)}
    (row,) = ledger.execute(
        "select realized_on::text, realization_rate, realization_source, paid_on::text, payment_rate, payment_source, difference"
        " from ledger.fx_difference"
    ).fetchall()
    assert row == ("2026-03-10", 80, "document", "2026-03-25", Decimal("90.5"), "payment", 10_500)
    variances = ledger.execute(
        "select measure, reason, amount, sentence, sentence_ru from ledger.variance"
    ).fetchall()
    assert [variance[:3] for variance in variances] == [("exchanged", "fx_difference", -10_500)]
    assert "exchange difference of 10500.00" in variances[0][3]
    assert "курсовая разница 10500.00" in variances[0][4]


def test_a_rate_that_neither_document_nor_payment_says_is_that_of_its_day(ledger: Connection) -> None:
    sell(ledger, Decimal("1000.00"), rate=None)
    pay(ledger, Decimal("1000.00"), "2026-03-25", None)
    assert settle(ledger)["exchanged"] == (80_000, 90_500, -10_500, 0)
    assert ledger.execute(
        "select realization_source, payment_source from ledger.fx_difference"
    ).fetchone() == (
        "core.currency_rate",
        "core.currency_rate",
    )


@pytest.mark.parametrize(
    ("is_posted", "told"),
    [(True, ("onec:realization", Decimal(10500))), (False, ("onec:first", Decimal(20500)))],
)
def test_what_a_posted_return_took_back_is_not_what_is_paid(
    ledger: Connection, is_posted: bool, told: tuple[str, Decimal]
) -> None:
    sell(ledger, Decimal("1000.00"), on="2026-03-10", rate="80")
    common = {"amount": Decimal("1000.00"), "counterparty_key": BUYER, "currency_key": DOLLAR}
    for key, kind, on, posted, more in (
        ("first", "realization", "2026-03-02", True, {"ended": "reversed"}),
        ("back", "return", "2026-03-12", is_posted, {"base_key": "onec:first"}),
    ):
        document = {**common, "document_key": f"onec:{key}", "kind": kind, "document_date": on}
        put(
            ledger,
            "documents.document",
            **document,
            **more,
            deal_id="crm:1",
            revision=1,
            has_goods=True,
            has_services=False,
        )
        put(
            ledger,
            "ledger.document",
            **document,
            **BOOKS,
            source_id=key,
            is_posted=posted,
            rate="70",
            rate_units=1,
        )
    pay(ledger, Decimal("1000.00"), "2026-03-25", "90.5")
    settle(ledger)
    assert ledger.execute("select realization_key, difference from ledger.fx_difference").fetchall() == [told]


def test_an_advance_makes_no_difference_since_the_realization_takes_its_rate(ledger: Connection) -> None:
    sell(ledger, Decimal("1000.00"), on="2026-03-26")
    pay(ledger, Decimal("1000.00"), "2026-03-25", "90.5")
    assert settle(ledger) == {}


def test_roubles_make_no_difference(ledger: Connection) -> None:
    sell(ledger, Decimal("1000.00"), rate="1", currency=ROUBLE)
    pay(ledger, Decimal("1000.00"), "2026-03-25", "1", currency=ROUBLE)
    assert "exchanged" not in settle(ledger)


def test_multiplicity_counts_on_either_side(ledger: Connection) -> None:
    """7.5 roubles for a unit are 75 for ten."""
    sell(ledger, Decimal("1000.00"), rate="75", units=10)
    pay(ledger, Decimal("1000.00"), "2026-03-25", "7.5", units=1)
    assert settle(ledger)["exchanged"] == (7_500, 7_500, 0, 0)
    assert ledger.execute(
        "select count(*) from ledger.variance where reason = 'fx_difference'"
    ).fetchone() == (0,)


def test_a_rate_that_comes_later_is_seen_by_the_increment(ledger: Connection) -> None:
    sell(ledger, Decimal("1000.00"), rate=None)
    pay(ledger, Decimal("1000.00"), "2026-03-25", None)
    settle(ledger)
    ledger.execute("update core.currency_rate set rate = 91 where valid_from = '2026-03-20'")
    ledger.execute(
        "insert into ops.change_log (table_name, key) values ('core.currency_rate', 'onec:2026-03-20')"
    )
    for name in LEDGER:
        refresh(ledger, tables()[f"ledger.{name}"])
    assert ledger.execute("select own_paid, difference from ledger.fx_difference").fetchone() == (
        91_000,
        11_000,
    )
    assert ledger.execute("select amount from ledger.variance where measure = 'exchanged'").fetchone() == (
        -11_000,
    )
    assert laws.every_kopeck_is_explained(Inside(ledger)).holds  # type: ignore[arg-type]


CENTS = st.integers(1, 1_000_000).map(lambda cents: Decimal(cents).scaleb(-2))
RATES = st.integers(1, 2_000_000).map(lambda rate: str(Decimal(rate).scaleb(-4)))


@settings(
    max_examples=8,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    total=CENTS,
    sold_at=RATES,
    payments=st.lists(st.tuples(CENTS, RATES, st.integers(1, 28)), min_size=1, max_size=5),
)
def test_differences_of_all_parts_are_what_was_exchanged_to_the_kopeck(
    books: Warehouse, total: Decimal, sold_at: str, payments: list[tuple[Decimal, str, int]]
) -> None:
    with undone(books) as conn:
        setting(conn, "onec", "currency", "RUB")
        setting(conn, "onec", "post_realization", True)
        sell(conn, total, on="2026-03-10", rate=sold_at)
        left, expected = total, Decimal(0)
        for number, (amount, rate, day) in enumerate(sorted(payments, key=lambda payment: payment[2])):
            put(conn, "ledger.payment", payment_key=f"onec:p{number}", **BOOKS, source_id=f"p{number}", kind="receipt",
                paid_on=f"2026-03-{day:02d}", is_posted=True, counterparty_key=BUYER, currency_key=DOLLAR, amount=amount,
                rate=rate, rate_units=1)  # fmt: skip
        settle(conn)
        for amount, day, rate in conn.execute(
            "select a.amount, extract(day from a.paid_on)::integer, p.rate from ledger.allocation a"
            " join ledger.payment p using (payment_key)"
        ).fetchall():
            left -= amount
            if day >= 10:
                expected += rounded(amount * rate) - rounded(amount * Decimal(sold_at))
        assert left >= 0
        assert conn.execute("select coalesce(sum(difference), 0) from ledger.fx_difference").fetchone() == (
            expected,
        )
        assert conn.execute(
            "select coalesce(-sum(amount), 0) from ledger.variance where reason = 'fx_difference'"
        ).fetchone() == (expected,)


def rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), "ROUND_HALF_UP")
