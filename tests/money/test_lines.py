"""Lines add up to their document to the kopeck, whatever the rates, terms, discounts and quantities."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse
from tests.gate.batch import undone
from tests.money.sheet import (
    RATES,
    WORDS,
    Deal,
    Line,
    Terms,
    farthest,
    kopecks,
    money,
    on_terms,
    reckoned,
    shared_out,
    whole,
)

DEALS_AT_ONCE = 40
_keys = itertools.count(1)

quick = settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.generate],  # making a failing batch smaller takes minutes
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
TERMS = st.builds(
    Terms,
    vat_terms=st.sampled_from(["included", "excluded", "as_sold"]),
    vat_rounding=st.sampled_from(["line", "document"]),
    price_digits=st.just(2),
    inexact_price=st.sampled_from(["split", "nearest"]),
)
LINES = st.builds(
    Line,
    key=st.builds(lambda: f"crm:{next(_keys):06d}"),
    thousandths=st.one_of(
        st.integers(1, 20).map(lambda n: n * 1000), st.integers(1, 3000), st.integers(1, 5_000_000)
    ),
    price=st.one_of(st.integers(0, 300), st.integers(1, 5_000_000)),
    rate=st.sampled_from(RATES),
    included=st.booleans(),
    percent=st.sampled_from([0, 0, 3, 7, 15, 50, 100]),
)


@st.composite
def deals(draw: st.DrawFn) -> Deal:
    lines = tuple(draw(st.lists(LINES, min_size=1, max_size=6)))
    deal = Deal(f"crm:d{next(_keys)}", lines, draw(st.booleans()))
    most = max(whole(deal) - 1, 0)  # a deal is worth a kopeck at least
    discount = draw(st.one_of(st.just(0), st.integers(0, min(most, 5)), st.integers(0, most)))
    return Deal(deal.key, lines, deal.included, discount)


def put(conn: Connection, table: str, **row: Any) -> None:
    names, holes = ", ".join(row), ", ".join(["%s"] * len(row))
    conn.execute(f"insert into {table} ({names}) values ({holes})", list(row.values()))


def setting(conn: Connection, system: str, name: str, value: object) -> None:
    conn.execute("delete from ops.setting where system = %s and name = %s", [system, name])
    put(conn, "ops.setting", system=system, name=name, value=Jsonb(value))


def agree(conn: Connection, terms: Terms) -> None:
    """The settings and VAT rates of accounting; a stage that calls for a realization."""
    for name in ("vat_terms", "vat_rounding", "price_digits", "inexact_price"):
        setting(conn, "onec", name, getattr(terms, name))
    setting(conn, "onec", "currency", "RUB")
    for rate, word in WORDS.items():
        put(conn, "ops.vat_rule", system="onec", rate=rate, value=word, place="test")
    put(
        conn,
        "ops.stage_rule",
        system="crm",
        position=1,
        documents=["realization"],
        ignore=False,
        place="test",
    )


def enter(conn: Connection, deal: Deal, *, amount: int | None = None, **fields: Any) -> None:
    """A deal and its lines, as the CRM keeps them; `amount` is the header in kopecks, by itself what is due."""
    put(
        conn, "core.deal", deal_id=deal.key, source="crm", source_id=deal.key[4:], currency="RUB",
        vat_included=deal.included, closed_on="2026-03-10", is_deleted=False, problems=[],
        amount=money(whole(deal) - deal.discount if amount is None else amount), **fields,
    )  # fmt: skip
    for place, line in enumerate(deal.lines):
        put(
            conn, "core.deal_line", line_id=line.key, source="crm", source_id=line.key[4:], deal_id=deal.key,
            position=place, product_name="Стол", unit="шт", quantity=Decimal(line.thousandths).scaleb(-3),
            list_price=money(line.price), discount_percent=line.percent, price=money(line.sold_at),
            vat_rate=line.rate, vat_included=line.included, amount=money(line.amount), is_deleted=False, problems=[],
        )  # fmt: skip


def made(conn: Connection, *more: str) -> dict[str, list[dict[str, Any]]]:
    """The lines of the documents by deal, after a refresh."""
    for name in ("documents.deal", "documents.document_line", *more):
        refresh(conn, tables()[name], everything=True)
    cursor = conn.execute("select * from documents.document_line order by line_id")
    names = [column.name for column in cursor.description or ()]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in cursor.fetchall():
        line = dict(zip(names, row, strict=True))
        found.setdefault(line["deal_id"], []).append(line)
    return found


def of_line(rows: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """The one line, or the two that it was split into."""
    return [row for row in rows if row["line_id"].removesuffix("/rest") == key]


@quick
@given(batch=st.lists(deals(), min_size=1, max_size=DEALS_AT_ONCE), terms=TERMS)
def test_lines_come_to_their_header_to_the_kopeck_and_to_what_integers_give(
    books: Warehouse, batch: list[Deal], terms: Terms
) -> None:
    with undone(books) as conn:
        agree(conn, terms)
        for deal in batch:
            enter(conn, deal, discount_amount=money(deal.discount) if deal.discount else None)
        found = made(conn)
        sums = dict(conn.execute("select deal_id, line_amount - discount from documents.deal").fetchall())
        for deal in batch:
            header = whole(deal) - deal.discount
            assert kopecks(sums[deal.key]) == header
            rows, due = found[deal.key], reckoned(deal, terms)
            total = sum(kopecks(row["amount"] if deal.included else row["net_amount"]) for row in rows)
            assert total == header, "the lines are not the header"
            for line in deal.lines:
                parts = of_line(rows, line.key)
                assert sum(kopecks(part["amount"]) for part in parts) == due[line.key].gross
                assert sum(kopecks(part["vat_amount"]) for part in parts) == due[line.key].vat
                assert sum(part["quantity"] for part in parts) * 1000 == line.thousandths
                assert {part["vat"] for part in parts} == {WORDS[line.rate]}
                for part in parts:
                    is_sound(part, terms, all(line.included for line in deal.lines))


def is_sound(row: dict[str, Any], terms: Terms, every_price_includes: bool) -> None:
    """What holds of one line by itself."""
    includes = {"included": True, "excluded": False, "as_sold": every_price_includes}[terms.vat_terms]
    assert row["vat_included"] is includes
    assert row["amount"] >= row["vat_amount"] >= 0
    assert row["net_amount"] + row["vat_amount"] == row["amount"]
    assert row["stated_amount"] == (row["amount"] if includes else row["net_amount"])
    assert row["stated_price"] == round(row["stated_price"], 2)
    if terms.inexact_price == "split":
        assert half_up(row["stated_price"] * row["quantity"]) == row["stated_amount"], "price times quantity"
    else:
        assert abs(row["stated_price"] * row["quantity"] - row["stated_amount"]) <= row[
            "quantity"
        ] / 200 + Decimal("0.005")
    assert row["discount_amount"] >= 0
    assert half_up(row["list_price"] * row["quantity"]) - row["discount_amount"] == row["stated_amount"]
    assert row["vat_rate"] is not None or row["vat"] == "БезНДС"


def half_up(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), "ROUND_HALF_UP")


@quick
@given(batch=st.lists(deals(), min_size=1, max_size=DEALS_AT_ONCE), seed=st.integers(0, 99))
def test_a_discount_of_a_deal_falls_on_its_lines_alike_in_whatever_order_they_stand_and_came(
    books: Warehouse, batch: list[Deal], seed: int
) -> None:
    shuffled = []
    for deal in batch:
        lines = list(deal.lines)
        random.Random(seed).shuffle(lines)
        shuffled.append(Deal(deal.key, tuple(lines), deal.included, deal.discount))
    random.Random(seed).shuffle(shuffled)
    shares = []
    for order in (batch, shuffled):
        with undone(books) as conn:
            agree(conn, Terms(inexact_price="nearest"))
            for deal in order:
                enter(conn, deal, discount_amount=money(deal.discount))
            shares.append({
                row["line_id"]: (row["amount"], row["vat_amount"]) for rows in made(conn).values() for row in rows
            })  # fmt: skip
    assert shares[0] == shares[1]


@given(
    weights=st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 10_000), min_size=1),
    part=st.fractions(0, 1),
)
@settings(deadline=None)
def test_the_reckoning_that_the_tables_are_held_against_takes_the_least_from_anybody(
    weights: dict[str, int], part: Any
) -> None:
    """Nobody is off by a kopeck, and no two lines could exchange one and lie nearer."""
    every = sum(weights.values())
    total = int(every * part)
    given_ = shared_out(total, weights)
    assert sum(given_.values()) == (total if every else 0)
    above, below = farthest(total, weights, given_)
    assert above - below <= every  # moving a kopeck from the one to the other gains nothing
    assert max(above, -below) < max(every, 1)
    assert all(given_[key] <= weights[key] for key in weights), "a discount makes no line dearer"


@pytest.mark.parametrize("mapping", [None, "held", "discount"])
@pytest.mark.parametrize("said", ["nothing", "amount", "percent"])
def test_an_amount_below_the_lines_is_a_discount_only_where_the_source_says_so(
    books: Warehouse, mapping: str | None, said: str
) -> None:
    deal = Deal(
        "crm:d", (Line("crm:a", 1000, 10_000, 22, True), Line("crm:b", 3000, 3_333, 10, True)), True, 3_000
    )
    given_: dict[str, dict[str, Any]] = {
        "nothing": {},
        "amount": {"discount_amount": 30},
        "percent": {"discount_percent": Decimal("15.000750")},
    }
    with undone(books) as conn:
        agree(conn, Terms())
        if mapping:
            setting(conn, "crm", "amounts_below_lines", mapping)
            setting(conn, "crm", "amounts_discount_up_to", 30)
        enter(conn, deal, **given_[said])
        rows = made(conn)["crm:d"]
        (amount, lines, discount) = conn.execute(
            "select amount, line_amount, discount from documents.deal"
        ).fetchall()[0]
    allowed = mapping == "discount" or said != "nothing"
    assert (amount, lines, discount) == (Decimal("169.99"), Decimal("199.99"), 30 if allowed else 0)
    assert sum(row["amount"] for row in rows) == (Decimal("169.99") if allowed else Decimal("199.99"))


@pytest.mark.parametrize(("off", "spread"), [(3, 3), (-3, -3), (5, 5), (6, 0), (-6, 0)])
def test_what_differs_by_rounding_alone_is_spread_and_more_is_not(
    books: Warehouse, off: int, spread: int
) -> None:
    deal = Deal("crm:d", tuple(Line(f"crm:{n}", 1000, 3_333, 22, True) for n in range(3)), True, off)
    with undone(books) as conn:
        agree(conn, Terms())
        setting(conn, "crm", "amounts_rounding_up_to", 0.05)
        enter(conn, deal)
        rows = made(conn)["crm:d"]
    assert sum(kopecks(row["amount"]) for row in rows) == 9_999 - spread


def test_a_discount_beyond_what_the_mapping_allows_is_left_to_the_gate(books: Warehouse) -> None:
    deal = Deal("crm:d", (Line("crm:a", 1000, 10_000, 22, True),), True, 3_001)
    with undone(books) as conn:
        agree(conn, Terms())
        setting(conn, "crm", "amounts_below_lines", "discount")
        setting(conn, "crm", "amounts_discount_up_to", 30)
        enter(conn, deal)
        (row,) = made(conn)["crm:d"]
        assert row["amount"] == 100
        assert conn.execute("select discount from documents.deal").fetchone() == (0,)


def test_a_line_whose_discount_is_more_than_itself_stays_as_it_is_and_below_nothing(books: Warehouse) -> None:
    """The gate holds it: `line_amount_not_negative`. Nothing is spread over its deal."""
    with undone(books) as conn:
        agree(conn, Terms())
        enter(
            conn,
            Deal("crm:d", (Line("crm:a", 1000, 10_000, 22, True),), True, 10),
            discount_amount=Decimal("0.10"),
        )
        put(conn, "core.deal_line", line_id="crm:z", source="crm", source_id="z", deal_id="crm:d", quantity=1,
            amount=Decimal("-5.00"), is_deleted=False, problems=[])  # fmt: skip
        rows = {row["line_id"]: row["amount"] for row in made(conn)["crm:d"]}
    assert rows == {"crm:a": Decimal("100.00"), "crm:z": Decimal("-5.00")}


def test_a_header_that_the_source_does_not_keep_is_its_lines_less_its_discount(books: Warehouse) -> None:
    deal = Deal("crm:d", (Line("crm:a", 1000, 10_000, 22, True), Line("crm:b", 1000, 5_000, None, True)))
    with undone(books) as conn:
        agree(conn, Terms())
        enter(conn, deal, discount_percent=Decimal("12.5"))
        conn.execute("update core.deal set amount = null")
        rows = made(conn)["crm:d"]
        assert conn.execute("select amount, discount from documents.deal").fetchone() == (
            Decimal("131.25"),
            Decimal("18.75"),
        )
    assert [row["amount"] for row in rows] == [Decimal("87.50"), Decimal("43.75")]


def test_a_price_of_two_digits_that_makes_no_sum_becomes_two_lines_that_do(books: Warehouse) -> None:
    whole_pieces = Line("crm:a", 3000, 3_333, 22, True)
    metres = Line("crm:b", 2_500, 4_000, 20, True)
    deal = Deal("crm:d", (whole_pieces, metres), True, whole(Deal("", (whole_pieces, metres))) - 19_902)
    with undone(books) as conn:
        agree(conn, Terms())
        enter(conn, deal, discount_amount=money(deal.discount))
        rows = [(row["line_id"], row["quantity"], row["price"], row["amount"]) for row in made(conn)["crm:d"]]
    assert sum(amount for *_, amount in rows) == Decimal("199.02")
    assert all(half_up(price * quantity) == amount for _, quantity, price, amount in rows)
    assert len(rows) > 2


def test_nought_percent_and_without_vat_are_two_things(books: Warehouse) -> None:
    deal = Deal("crm:d", (Line("crm:a", 1000, 10_000, 0, True), Line("crm:b", 1000, 10_000, None, True)))
    with undone(books) as conn:
        agree(conn, Terms())
        enter(conn, deal)
        rows = made(conn)["crm:d"]
    assert [(row["vat"], row["vat_rate"], row["vat_amount"]) for row in rows] == [
        ("НДС0", Decimal("0.00"), Decimal("0.00")),
        ("БезНДС", None, Decimal("0.00")),
    ]


def test_vat_by_document_is_what_the_sum_of_a_rate_gives_and_by_line_what_each_line_does(
    books: Warehouse,
) -> None:
    """Ten lines of 0.03 at 22 %: by line a kopeck each, by document 5 in all."""
    deal = Deal("crm:d", tuple(Line(f"crm:{n:02d}", 1000, 3, 22, True) for n in range(10)))
    sums = {}
    for rounding in ("line", "document"):
        with undone(books) as conn:
            agree(conn, Terms(vat_rounding=rounding))
            enter(conn, deal)
            sums[rounding] = sum(row["vat_amount"] for row in made(conn)["crm:d"])
    assert sums == {"line": Decimal("0.10"), "document": Decimal("0.05")}


def test_terms_of_lines_and_header_are_turned_into_each_other_to_the_kopeck() -> None:
    """VAT added to a net sum is what is taken out of the gross one again, for all rates."""
    for rate in RATES:
        for net in range(1, 3_000):
            deal = Deal("d", (Line("a", 1000, net, rate, False),), True)
            gross = on_terms(deal, deal.lines[0])
            assert reckoned(deal, Terms())["a"] == reckoned(deal, Terms())["a"].__class__(gross, gross - net)
