"""A document that is paid in part, or beyond its sum, says what to do, in both languages."""

from __future__ import annotations

from resources.warehouse import Connection
from tests.payments.books import owes, pays, refreshed, states


def sentences(ledger: Connection) -> list[tuple[str, int, str, str]]:
    for name in ("allocation", "variance"):
        refreshed(ledger, f"ledger.{name}", everything=True)
    return ledger.execute(
        "select reason, amount, sentence, sentence_ru from ledger.variance order by reason desc"
    ).fetchall()


def test_what_is_paid_in_part_is_to_be_collected_and_what_is_paid_beyond_to_be_returned(
    ledger: Connection,
) -> None:
    owes(ledger, "7", 100)
    owes(ledger, "8", 50, due_on=None, document_date=None)
    pays(ledger, "p", 60)
    states(ledger, "p", "7", 60)
    pays(ledger, "q", 80)
    states(ledger, "q", "8", 80)
    assert sentences(ledger) == [
        (
            "partial_payment",
            40,
            (
                "invoice 7 of 2026-03-01: 60.00 of 100.00 paid, due on 2026-03-10;"
                " collect the other 40.00 from the buyer, or correct the document"
            ),
            (
                "счёт 7 от 01.03.2026: оплачено 60.00 из 100.00, срок 10.03.2026;"
                " получите с покупателя остальные 40.00 или исправьте документ"
            ),
        ),
        (
            "overpayment",
            -30,
            (
                "invoice 8 of an unknown day: 80.00 of 50.00 paid, due on an unknown day;"
                " return 30.00 to the buyer, or allocate it to another document in accounting"
            ),
            (
                "счёт 8 от неизвестного дня: оплачено 80.00 из 50.00, срок неизвестен;"
                " верните покупателю 30.00 или отнесите их в учёте на другой документ"
            ),
        ),
    ]
