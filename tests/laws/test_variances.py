"""Differences that move no sum, and what a document waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from pipelines.refresh import refresh_scopes
from pipelines.table import tables
from tests.laws.conftest import Towns
from tests.laws.town import Town


def realization(town: Town) -> tuple[str, dict[str, Any]]:
    """A posted realization of the portal with goods of two kinds."""
    for key, row in town.books.all("realization").items():
        if row["Posted"] and len(row["Товары"]) == 2:
            return key, row
    raise AssertionError("no realization of two lines was carried")


def edit_line(town: Town, **fields: Any) -> str:
    key, row = realization(town)
    first, *rest = row["Товары"]
    town.books.change("realization", key, Товары=[{**first, **fields}, *rest])
    return key


def told(town: Town, key: str) -> dict[str, tuple[Any, ...]]:
    """Variances of a document by reason."""
    rows = town.rows(
        "select reason, amount, expected, actual, sentence, sentence_ru from ledger.variance where document_key = %s",
        [f"onec:{key}"],
    )
    return {reason: tuple(rest) for reason, *rest in rows}


def line(town: Town) -> Mapping[str, Any]:
    found: Mapping[str, Any] = realization(town)[1]["Товары"][0]
    return found


@pytest.mark.parametrize(
    ("reason", "words", "edit"),
    [
        ("vat", "НДС10", lambda row: {"СтавкаНДС": "НДС10", "СуммаНДС": Decimal("90.92")}),
        ("vat", "100", lambda row: {"СуммаНДС": Decimal(100)}),
        ("vat_rounding", "НДС22", lambda row: {"СуммаНДС": Decimal(str(row["СуммаНДС"])) + Decimal("0.01")}),
        ("quantity", "=", lambda row: {"Количество": Decimal(2), "Цена": Decimal(str(row["Сумма"])) / 2}),
        ("price_version", "7.5", lambda row: {"Цена": Decimal("7.5")}),
    ],
)
def test_a_line_changed_at_an_equal_total_is_told_with_its_reason(
    towns: Towns, reason: str, words: str, edit: Any
) -> None:
    with towns(Town.sync) as town:
        key = edit_line(town, **edit(line(town)))
        done = town.sync()
        found = told(town, key)
        assert set(found) == {reason}
        amount, _, actual, sentence, sentence_ru = found[reason]
        assert amount == 0
        assert words in actual
        assert actual in sentence
        assert actual in sentence_ru
        assert all(law.holds for law in done.laws)
        assert town.rebuild() == []


def test_another_product_at_an_equal_total_is_told_by_its_name_and_a_rename_reaches_the_sentence(
    towns: Towns,
) -> None:
    with towns(Town.sync) as town:
        other = town.books.add(
            "product", Code="77", Артикул="", Description="Шкаф", Услуга=False, IsFolder=False
        )
        key = edit_line(town, Номенклатура_Key=other)
        town.sync()
        assert set(told(town, key)) == {"product"}
        assert "Шкаф" in told(town, key)["product"][3]
        town.books.change("product", other, Description="Комод")
        town.sync()
        assert "Комод" in told(town, key)["product"][3]
        assert town.rebuild() == []


def test_lines_in_another_order_are_no_difference(towns: Towns) -> None:
    with towns(Town.sync) as town:
        key, row = realization(town)
        turned = [{**line, "LineNumber": str(n)} for n, line in enumerate(reversed(row["Товары"]), start=1)]
        town.books.change("realization", key, Товары=turned)
        town.sync()
        assert told(town, key) == {}


def compared(
    town: Town, ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]
) -> dict[str, str]:
    """Reasons of a realization of two lines where either side has these quantities and sums, and what accounting holds."""
    key = f"onec:{realization(town)[0]}"
    with town.warehouse.transaction() as conn:
        for table, of, sides in (
            ("documents.document_line", "deal_id = (select deal_id from documents.document where document_key = %s)", ours),
            ("ledger.document_line", "document_key = %s", theirs),
        ):  # fmt: skip
            for position, (quantity, amount) in enumerate(sides, start=1):
                conn.execute(
                    f"update {table} set quantity = %s, price = 10, amount = %s, vat = 'НДС22', vat_amount = 1"
                    f" where {of} and position = %s".encode(),
                    [quantity, amount, key, position],
                )
        for table in ("ledger.position", "ledger.variance"):
            refresh_scopes(conn, tables()[table], [key])
        rows = conn.execute("select reason, actual from ledger.variance where document_key = %s", [key])
        return dict(rows.fetchall())


def test_lines_that_swapped_their_quantities_and_sums_are_told(towns: Towns) -> None:
    """Every column holds what it held, and so does the total. Several, since sums of hashes, column by column, are equal of
    about half of such lines."""
    with towns(Town.sync) as town:
        for many in range(2, 12):
            ours = [(many, many * 10), (1, 10)]
            assert compared(town, ours, ours) == {}
            found = compared(town, ours, ours[::-1])
            assert {reason: set(actual.split("; ")) for reason, actual in found.items()} == {
                "quantity": {"1 × 10 = 10.00", f"{many} × 10 = {many * 10}.00"}
            }


def test_a_quantity_of_the_other_sign_is_told(towns: Towns) -> None:
    """PostgreSQL's hash of a number is the same of 3 and of -3."""
    with towns(Town.sync) as town:
        assert compared(town, [(3, 30), (1, 10)], [(-3, 30), (1, 10)]) == {"quantity": "-3 × 10 = 30.00"}


def test_a_difference_of_sums_keeps_its_reason_and_other_differences_stand_beside_it(towns: Towns) -> None:
    with towns(Town.sync) as town:
        key, row = realization(town)
        first, second = row["Товары"]
        more = Decimal(str(first["Сумма"])) + 100
        town.books.change(
            "realization", key, СуммаДокумента=Decimal(str(row["СуммаДокумента"])) + 100,
            Товары=[{**first, "Цена": more, "Сумма": more}, {**second, "СтавкаНДС": "НДС0", "СуммаНДС": 0}],
        )  # fmt: skip
        town.sync()
        found = told(town, key)
        assert {reason: rest[0] for reason, rest in found.items()} == {"price_version": -100, "vat": 0}


@pytest.mark.parametrize("kind", ["counterparty", "contract", "product"])
def test_a_document_says_which_parent_it_waits_for_and_why(towns: Towns, kind: str) -> None:
    with towns() as town:
        town.books.refused_kinds = {kind}
        town.sync()
        waiting = town.rows(
            """
            select distinct v.reason, v.sentence, v.sentence_ru from ledger.variance v join ledger.position p using (document_key)
            where p.waits_for is not null
            """
        )
        assert waiting, "nothing waits"
        for reason, sentence, sentence_ru in waiting:
            assert reason == "missing_in_accounting"
            assert f"it waits for {kind} " in sentence
            assert f"no {kind} today" in sentence
            assert f"no {kind} today" in sentence_ru
        assert not town.rows("select from ledger.variance where reason = 'timing'")
        town.books.refused_kinds = set()
        town.warehouse.execute(
            "select ops.move_many(array_agg(operation_id), 'planned', 'anna', 'try') from ops.operation where state = 'rejected'"
        )
        town.sync()
        town.sync()
        assert not town.rows("select from ledger.position where waits_for is not null")
        assert not town.rows(
            "select from ledger.variance where reason in ('timing', 'missing_in_accounting') and starts_with(deal_id, 'bitrix24:')"
        )
        assert town.rebuild() == []


def test_a_refused_realization_is_not_said_to_be_on_its_way(towns: Towns) -> None:
    """Its posting still waits to be sent; what was refused says more."""
    with towns() as town:
        town.books.refused_kinds = {"realization"}
        town.sync()
        reasons = town.rows(
            "select distinct reason from ledger.variance where measure = 'realized' and strpos(sentence, 'refused') > 0"
        )
        assert reasons == [("missing_in_accounting",)]
        assert not town.rows("select from ledger.variance where reason = 'timing'")
