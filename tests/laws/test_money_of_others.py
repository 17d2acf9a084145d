"""Only what settles with a buyer pays his invoices, and only what came to the organization that he owes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.laws.acts import Act, do
from tests.laws.books import COUNTERPARTY, EMPTY, OTHERS, ref
from tests.laws.conftest import Towns
from tests.laws.town import Town

CARD = "ПоступленияОтПродажПоПлатежнымКартамИБанковскимКредитам"
SECOND = ref(0xFFFF0002)


def in_business(town: Town) -> None:
    for number in range(4):
        do(town, Act("new_deal", number, 4, 2))
    town.sync()
    town.sync()


def pay(town: Town, kind: str = "payment", **fields: Any) -> Decimal:
    """Money of exactly what the first invoice comes to, with its buyer."""
    invoice = next(iter(town.books.all("invoice").values()))
    amount = Decimal(str(invoice["СуммаДокумента"]))
    body = {
        "Date": "2026-04-03T00:00:00", "Контрагент": invoice["Контрагент_Key"], "Контрагент_Type": COUNTERPARTY,
        "НазначениеПлатежа": "По договору", "ВалютаДокумента_Key": invoice["ВалютаДокумента_Key"],
        "СуммаДокумента": amount, "РасшифровкаПлатежа": [],
    }  # fmt: skip
    town.books.add(kind, **{**body, **fields})
    return amount


def deals(town: Town) -> list[Any]:
    return town.rows("select deal_id, payment_status, paid, debt from feedback.deal order by 1")


@pytest.mark.parametrize(
    ("kind", "operation"),
    [(kind, operation) for kind, found in OTHERS.items() for operation in found],
)
def test_money_that_is_no_settlement_with_a_buyer_pays_nothing_and_returns_nothing(
    towns: Towns, kind: str, operation: str
) -> None:
    with towns(in_business) as town:
        before = deals(town)
        nobody = list(OTHERS[kind])[-1] == operation
        pay(town, kind, ВидОперации=operation, **({"Контрагент": EMPTY} if nobody else {}))
        done = town.sync()
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert deals(town) == before
        assert all(" 0 written back" in line for line in done.written_back)
        assert town.rows("select from ledger.payment") == []
        assert town.rows("select from ledger.variance where measure = 'paid'") == []
        pay(town)  # of a buyer, and so it pays
        town.sync()
        assert deals(town) != before
        assert town.rebuild() == []


def test_a_card_payment_that_names_the_bank_pays_nobodys_invoice_and_one_that_names_the_buyer_pays_his(
    towns: Towns,
) -> None:
    with towns(in_business) as town:
        before = deals(town)
        bank = town.books.add(
            "counterparty", Code="Б", Description="Банк ПАО", ИНН="7700000003", IsFolder=False
        )
        amount = pay(town, ВидОперации=CARD, Контрагент=bank)
        done = town.sync()
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert deals(town) == before
        told = "select reason, counterparty_key, amount from ledger.variance where measure = 'paid'"
        assert town.rows(told) == [("unallocated", f"onec:{bank}", -amount)]
        pay(town, ВидОперации=CARD)
        done = town.sync()
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert deals(town) != before
        assert len(town.rows("select from ledger.allocation")) >= 1


def test_money_that_came_to_another_of_our_organizations_pays_nothing_and_is_told(towns: Towns) -> None:
    with towns(in_business) as town:
        town.books.save("organization", SECOND, {"Description": "Вторая фирма", "ИНН": "7700000002"})
        before = deals(town)
        amount = pay(town, Организация_Key=SECOND)
        done = town.sync()
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert deals(town) == before
        assert town.rows("select organization_key from ledger.payment") == [(f"onec:{SECOND}",)]
        told = "select reason, amount, sentence, sentence_ru from ledger.variance where measure = 'paid'"
        ((reason, missing, sentence, sentence_ru),) = town.rows(told)
        assert (reason, missing) == ("organization", -amount)
        assert "came to Вторая фирма" in sentence
        assert "Вторая фирма" in sentence_ru
        town.books.change("organization", SECOND, Description="Третья фирма")
        town.sync()
        assert "Третья фирма" in town.rows(told)[0][2]
        assert town.rebuild() == []

        (key,) = town.books.all("payment")
        town.books.change("payment", key, Организация_Key=next(iter(town.books.all("organization"))))
        town.sync()
        assert deals(town) != before
        assert town.rows("select from ledger.variance where reason = 'organization'") == []
        assert town.rebuild() == []


def test_an_invoice_that_the_money_of_another_organization_names_stays_unpaid(towns: Towns) -> None:
    with towns(in_business) as town:
        before = deals(town)
        key, invoice = next(iter(town.books.all("invoice").items()))
        stated = {"LineNumber": "1", "СчетНаОплату_Key": key, "СуммаПлатежа": invoice["СуммаДокумента"]}
        pay(
            town,
            Организация_Key=SECOND,
            РасшифровкаПлатежа=[stated],
            НазначениеПлатежа=f"Оплата по счету {invoice['Number'][-4:].lstrip('0')}",
        )
        done = town.sync()
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert deals(town) == before


def test_money_whose_organization_is_not_known_pays_as_before(towns: Towns) -> None:
    with towns(in_business) as town:
        before = deals(town)
        pay(town, Организация_Key=EMPTY)
        do(town, Act("foreign_document", 0, 0, 0))  # it names no organization, and is paid by what does
        pay(town)
        done = town.sync()
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert deals(town) != before
        assert town.rows("select from ledger.variance where reason = 'organization'") == []
        assert town.rebuild() == []
