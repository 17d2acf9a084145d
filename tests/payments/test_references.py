"""What stands in the purpose of a payment beside the number of a document: days, rates, sums, contracts. None of it names one."""

from __future__ import annotations

import pytest

from resources.warehouse import Connection
from tests.payments.books import allocations, owes, pays, refreshed


def of_purpose(ledger: Connection, number: str, purpose: str) -> list[str]:
    """By which rules a payment of 70 with this purpose pays an open document of 100, due later, beside one due first."""
    owes(ledger, "first", 500, number="Б-777777", due_on="2026-02-01")
    owes(ledger, "numbered", 100, number=number, due_on="2026-06-01")
    pays(ledger, "p", 70, purpose=purpose)
    refreshed(ledger, everything=True)
    return [rule for _, document, rule, _ in allocations(ledger) if document == "numbered"]


@pytest.mark.parametrize(
    ("number", "purpose"),
    [
        ("0000-000012", "Оплата по счёту № 45 от 12.03.2026"),
        ("0000-000003", "Оплата по счёту № 45 от 12.03.2026"),
        ("0000-002026", "Оплата по счёту № 45 от 12.03.2026 г."),
        ("0000-000012", "Invoice 45 of 2026-03-12"),
        ("0000-000012", "Счет 45 от 12/03/26"),
        ("0000-000012", "Счет 45 от 12 марта 2026 г."),
        ("0000-002026", "Счет 45 от 12 марта 2026 г."),
        ("12-2026", "За услуги в марте 2026 года"),
        ("0000-000022", "За товар, в т.ч. НДС 22% 12-62"),
        ("0000-000020", "За товар, в т.ч. НДС (20 %) - 11.67 руб."),
        ("0000-000012", "За товар, в т.ч. НДС (22%) 12-62"),
        ("0000-000070", "За товар. Сумма 70-00, НДС не облагается"),
        ("0000-000070", "За товар. Сумма 70.00"),
        ("0000-000001", "За товар 1 200,00 руб."),
        ("0000-000012", "Оплата по договору № 12 за поставку"),
        ("0000-000012", "Оплата по дог. 12 от 01.02.2026"),
        ("0000-000015", "По договору поставки №15, счет 45"),
        ("0000-000012", "Payment under contract No. 12"),
    ],
)
def test_a_day_a_rate_a_sum_or_a_contract_names_no_document(
    ledger: Connection, number: str, purpose: str
) -> None:
    assert of_purpose(ledger, number, purpose) == []


@pytest.mark.parametrize(
    ("number", "purpose"),
    [
        ("0000-000012", "Оплата по счёту № 12 от 15.03.2026"),
        ("0000-000012", "Оплата по счёту 0000-000012 от 15.03.2026, НДС не облагается"),
        ("0000-000012", "счет №12 сумма 70-00 в т.ч. НДС 22% 12-62"),
        ("0000-000012", "НДС не облагается. Счет 12"),
        ("0000-000012", "По договору 7 от 01.02.2026 счет 12"),
        ("0000-000012", "По договору поставки по счету № 12"),
        ("0000-000012", "По договору и счету 12"),
        ("0000-000012", "Оплата счета 12, 70 руб."),
        ("0000-000012", "Оплата счета 12. 70 руб."),
        ("0000-000012", "12"),
        ("0000-000015", "счет 15 от 15 марта 2026"),
        ("НФНФ-000015", "по сч. НФНФ-000015 от 01.03.2026"),
        ("12-2026", "Оплата счета 12-2026 от 01.03.2026"),
        ("УТ-12-34", "Счет УТ-12-34"),
    ],
)
def test_the_number_of_a_document_names_it(ledger: Connection, number: str, purpose: str) -> None:
    assert of_purpose(ledger, number, purpose) == ["reference"]


def test_a_document_that_is_named_is_not_made_doubtful_by_a_day_of_the_same_number(
    ledger: Connection,
) -> None:
    owes(ledger, "named", 100, number="0000-000045", due_on="2026-06-01")
    owes(ledger, "day", 100, number="0000-000012", due_on="2026-02-01")
    pays(ledger, "p", 100, purpose="Оплата по счёту № 45 от 12.03.2026")
    refreshed(ledger, everything=True)
    assert allocations(ledger) == [("p", "named", "reference", 100)]
