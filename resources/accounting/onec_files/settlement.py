"""What a movement of money settles: only a buyer's receipt pays invoices, and only what goes back to a buyer is a refund.

A statement knows accounts, tax numbers and the words of the purpose, no kinds of operation. So, in this order:

own      between accounts of this statement; or with the ИНН that stands on our side of it; or called a
         transfer of our own money, where one of the two numbers is not known
other    to the treasury (its accounts begin with 03 or 40101; or ПоказательКБК is filled): taxes
other    incoming, and its purpose begins as a return (of a supplier, a loan, a tax; the return of a debt is a buyer's),
         speaks of a loan that is given, or of cash that we paid in
receipt  all else that comes in
refund   outgoing, and its purpose speaks of a return (возврат, вернуть), not of a loan, a deposit, a security or of
         money for which somebody accounts to us
other    all else that goes out: suppliers, wages, the bank

A bank document of a base says with whom it settles (ВидРасчетов: СПокупателем, СПоставщиком, ..., in its header or in
ВидРасчетовРасширенный of its rows, which both are optional). That decides; where neither is told, its purpose does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

Settles = Literal["receipt", "refund", "own", "other"]
Direction = Literal["receipt", "outgoing"]
BUYER: Final = "СПокупателем"

_I: Final = re.IGNORECASE
_OWN: Final = re.compile(r"\bсобственных (?:денежных )?средств|\bмежду (?:своими|собственными) счетами", _I)
_LENT: Final = r"(?:за[йеё]м|кредит|ссуд|депозит)"
_COMES_BACK: Final = re.compile(r"\W*возвра[тщ]\w*\s+(?!\s|(?:\S+\s+)?(?:долг|задолж))|\W*возвра[тщ]\w*$", _I)
_COMES_OF_OTHERS: Final = re.compile(
    rf"\b(?:предоставл|выдач|получен|перечислен)\w*\s+(?:\S+\s+){{0,3}}?{_LENT}|\b(?:взнос|внесен)\w*\s+наличн|\bсамоинкасс",
    _I,
)
_GOES_BACK: Final = re.compile(r"\bвозвра[тщ]|\bвернут", _I)
_GOES_TO_OTHERS: Final = re.compile(rf"\b(?:{_LENT}|вклад|подотч|обеспечи|обеспечен)", _I)
_TREASURY: Final = ("03", "40101")


def of_statement(
    direction: Direction, values: Mapping[str, str], purpose: str, ours: Collection[str], own_number: str
) -> Settles:
    """Of a payment of a statement. `ours`: accounts of the statement; `own_number`: our ИНН, where it is known."""
    side = "Плательщик" if direction == "receipt" else "Получатель"
    account = values.get(f"{side}Счет") or values.get(f"{side}РасчСчет", "")
    number = values.get(f"{side}ИНН", "").strip("0 ")
    if account in ours or (own_number and values.get(f"{side}ИНН", "") == own_number):
        return "own"
    if _OWN.search(purpose) and not (number and own_number):
        return "own"
    budget = values.get("ПоказательКБК", "").strip("0 ")
    if direction == "outgoing" and (account.startswith(_TREASURY) or budget):
        return "other"
    return by_purpose(direction, purpose)


def of_document(direction: Direction, body: Mapping[str, Any], purpose: str) -> Settles:
    """Of a bank document of a base."""
    told = [body.get("ВидРасчетов")]
    told += [
        row.get("ВидРасчетовРасширенный/ВидРасчетовСПокупателямиПоставщиками")
        for row in body.get("РасшифровкаПлатежа") or ()
    ]
    kinds = {kind for kind in told if kind}
    if not kinds:
        return by_purpose(direction, purpose)
    if kinds != {BUYER}:
        return "other"
    return "receipt" if direction == "receipt" else "refund"


def by_purpose(direction: Direction, purpose: str) -> Settles:
    """Where nothing but the words of the payment are known."""
    if direction == "receipt":
        return "other" if _COMES_BACK.match(purpose) or _COMES_OF_OTHERS.search(purpose) else "receipt"
    return "refund" if _GOES_BACK.search(purpose) and not _GOES_TO_OTHERS.search(purpose) else "other"
