"""Money of everybody but buyers in Бухгалтерия: by card, of suppliers, lenders, taxes, between our own accounts.

ВидОперации tells what a bank or cash document settles. Confirmed by public clients are ОплатаПокупателя,
ПоступленияОтПродажПоПлатежнымКартамИБанковскимКредитам, РасчетыПоКредитамИЗаймам, ОплатаПоставщику,
ПеречислениеНалога, КомиссияБанка, ПрочееПоступление and ПрочееСписание; the other names follow the words that the
forms show. Such a document has no rows that settle 62, and one entry on its own account. Public clients take the card
kind for a buyer's payment, and the form asks for the bank; here it names one who is no buyer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.onec.documents import Payment, bank_document
from sandbox.onec.ledger import UNDEFINED_REF, Entry, Reference, Side
from sandbox.onec.model import CONTRACTS, COUNTERPARTIES, EMPTY_REF, RECEIPT, WRITE_OFF, Row

if TYPE_CHECKING:
    from sandbox.onec.base import Base

CARD = "ПоступленияОтПродажПоПлатежнымКартамИБанковскимКредитам"
ACCOUNTS_OF: dict[str, str] = {  # what is settled, by ВидОперации
    CARD: "57.03",
    "ВозвратОтПоставщика": "60.02",
    "ОплатаПоставщику": "60.01",
    "РасчетыПоКредитамИЗаймам": "66.03",
    "ПереводСДругогоСчета": "57.01",
    "ПереводНаДругойСчет": "57.01",
    "ПеречислениеНалога": "68.90",
    "КомиссияБанка": "91.02",
    "ПрочееПоступление": "91.01",
    "ПрочееСписание": "91.02",
}
CHART = (
    ("57.01", "Переводы в пути", ()),
    ("57.03", "Продажи по платежным картам", (COUNTERPARTIES, CONTRACTS)),
    ("66.03", "Краткосрочные займы", (COUNTERPARTIES, CONTRACTS)),
    ("68.90", "Единый налоговый счет", ()),
)
_NOBODYS = ("ПереводСДругогоСчета", "ПереводНаДругойСчет", "КомиссияБанка")  # they name no counterparty
_HISTORY: Sequence[tuple[str, str, str]] = (
    (RECEIPT, "ВозвратОтПоставщика", "Возврат предоплаты по договору поставки"),
    (RECEIPT, CARD, "Зачисление средств по реестру платежных карт"),
    (RECEIPT, "РасчетыПоКредитамИЗаймам", "Предоставление займа по договору"),
    (RECEIPT, "ПереводСДругогоСчета", "Перевод собственных средств"),
    (WRITE_OFF, "ОплатаПоставщику", "Оплата по договору поставки"),
    (WRITE_OFF, "РасчетыПоКредитамИЗаймам", "Возврат займа по договору"),
    (WRITE_OFF, "ПеречислениеНалога", "Единый налоговый платеж"),
    (WRITE_OFF, "ПереводНаДругойСчет", "Перевод собственных средств"),
)


def history(
    parties: tuple[str, str], bank: str, amount: Decimal, day: date
) -> list[tuple[str, str, Payment]]:
    """(set, ВидОперации, payment) of each kind once, all of one amount and of one who also buys of us; the card's
    of a bank."""
    by_bank = (bank, EMPTY_REF)
    return [
        (
            name,
            operation,
            Payment(f"{number}", day, amount, *(by_bank if operation == CARD else parties), purpose),
        )
        for number, (name, operation, purpose) in enumerate(_HISTORY)
    ]


def document(base: Base, payment: Payment, operation: str) -> Row:
    """A bank document of this kind: its account in the header, no breakdown by invoices."""
    body = bank_document(base, payment, operation)
    body |= {
        "СчетУчетаРасчетовСКонтрагентом_Key": base.account(ACCOUNTS_OF[operation]),
        "РасшифровкаПлатежа": [],
    }
    if operation in _NOBODYS:
        body |= {
            "Контрагент": "",
            "Контрагент_Type": "StandardODATA.Undefined",
            "ДоговорКонтрагента_Key": EMPTY_REF,
        }
    return body


def entry(operation: str, doc: Row, bank: Side, kopecks: int, *, incoming: bool) -> Entry:
    """The one entry: money against the account of what it settles."""
    code = ACCOUNTS_OF[operation]
    party: Reference = (COUNTERPARTIES, doc["Контрагент"]) if doc["Контрагент"] else UNDEFINED_REF
    agreed = doc["ДоговорКонтрагента_Key"]
    contract: Reference = (CONTRACTS, agreed) if agreed != EMPTY_REF else UNDEFINED_REF
    by_party = code[:2] in ("60", "66") or code == "57.03"
    other = Side(code, (party, contract, UNDEFINED_REF)) if by_party else Side(code)
    return Entry(bank, other, kopecks, operation) if incoming else Entry(other, bank, kopecks, operation)
