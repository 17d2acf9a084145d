"""Entries of what takes a sale back: a return of goods and a correction of a realization.

Revenue, VAT and cost are reversed by entries of negative sums (сторно) on the accounts of the sale; what the
buyer had paid already moves from 62.01 of the sale to 62.02 of this document. A correction enters the difference
of after and before, whichever its sign. That a decrease is storned rather than booked through 19.09 is
unconfirmed for a release.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, NamedTuple

from sandbox.onec.ledger import UNDEFINED_REF, Entry, Reference, Side
from sandbox.onec.model import (
    CONTRACTS,
    COUNTERPARTIES,
    CURRENCIES,
    EMPTY_REF,
    PRODUCTS,
    REALIZATION,
    RETURN,
    WAREHOUSES,
    Row,
)

if TYPE_CHECKING:
    from sandbox.onec.base import Base

COST_PERCENT = 70  # cost of goods, of their net price: the stand-in keeps no batches


class _Change(NamedTuple):
    """What a row changes; sums in the document's currency, VAT included in `gross`."""

    product: str
    quantity: Decimal
    gross: Decimal
    vat: Decimal
    net: Decimal  # of the goods whose cost moves
    part: Decimal  # how much of that cost, signed
    cost: Decimal = Decimal(0)  # of the whole in roubles, where the document says it
    stocked: bool = True


def reversal(base: Base, name: str, doc: Row) -> list[Entry]:
    """Entries of a whole return or correction that passed its checks."""
    changes = _returned(doc) if name == RETURN else _corrected(doc)
    field = "Сделка" if name == RETURN else "ДокументРеализации"
    own: Reference = (name, doc["Ref_Key"])
    sale: Reference = (REALIZATION, doc[field]) if doc[field] else own
    debt = base.account_code(doc["СчетУчетаРасчетовСКонтрагентом_Key"])
    advance = base.account_code(doc["СчетУчетаРасчетовПоАвансам_Key"])
    parties = ((COUNTERPARTIES, doc["Контрагент_Key"]), (CONTRACTS, doc["ДоговорКонтрагента_Key"]))
    currency, rate = _rate(base, doc)
    text = "Возврат товаров" if name == RETURN else "Корректировка реализации"
    found: list[Entry] = []
    total = 0
    for change in changes:
        product = (UNDEFINED_REF, UNDEFINED_REF, (PRODUCTS, change.product))
        quantity = float(change.quantity)
        gross, vat = _kopecks(change.gross * rate), _kopecks(change.vat * rate)
        cost = _cost(change, rate)
        cents = _kopecks(change.gross) if currency != EMPTY_REF else 0
        total += gross
        if gross:
            buyer = Side(debt, (*parties, sale), 0, currency, cents)
            found.append(Entry(buyer, Side("90.01.1", product, quantity), gross, text))
        if vat:
            found.append(Entry(Side("90.03", product), Side("68.02"), vat, f"{text}: НДС"))
        if change.stocked and cost:
            stock = ((PRODUCTS, change.product), UNDEFINED_REF, (WAREHOUSES, doc["Склад_Key"]))
            found.append(
                Entry(
                    Side("90.02.1", product, quantity),
                    Side("41.01", stock, quantity),
                    cost,
                    f"{text}: себестоимость",
                )
            )
    owed = base.ledger.open_items(debt, parties[0][1], parties[1][1]).get(sale, 0)
    paid = min(-total, -total - max(owed, 0))
    if paid > 0:  # the buyer has paid what is taken back: it waits as an advance
        cents = int((paid / rate).to_integral_value(rounding=ROUND_HALF_UP)) if currency != EMPTY_REF else 0
        buyer = Side(debt, (*parties, sale), 0, currency, cents)
        found.append(Entry(buyer, Side(advance, (*parties, own), 0, currency, cents), paid, f"{text}: аванс"))
    return found


def _returned(doc: Row) -> list[_Change]:
    found = []
    for row in doc["Товары"]:
        gross, vat = _gross(doc, row["Сумма"], row["СуммаНДС"])
        cost, quantity = _decimal(row["Себестоимость"]), _decimal(row["Количество"])
        change = _Change(row["Номенклатура_Key"], -quantity, -gross, -vat, gross - vat, Decimal(-1), cost)
        found.append(change)
    return found


def _corrected(doc: Row) -> list[_Change]:
    found = []
    for table in ("Товары", "Услуги"):
        for row in doc[table]:
            gross, vat = _gross(doc, row["Сумма"], row["СуммаНДС"])
            before, vat_before = _gross(doc, row["СуммаДоИзменения"], row["СуммаНДСДоИзменения"])
            was = _decimal(row["КоличествоДоИзменения"])
            change = _decimal(row["Количество"]) - was
            part = change / was if was else Decimal(0)
            found.append(
                _Change(
                    row["Номенклатура_Key"],
                    change,
                    gross - before,
                    vat - vat_before,
                    before - vat_before,
                    part,
                    stocked=table == "Товары",
                )
            )
    return found


def _cost(change: _Change, rate: Decimal) -> int:
    """Kopecks of cost that move: of the whole as the sale rounds it, so that a whole return takes all back."""
    if change.cost:
        whole = _kopecks(change.cost)
    else:
        whole = int((Decimal(_kopecks(change.net * rate)) * COST_PERCENT / 100).to_integral_value())
    return int((whole * change.part).to_integral_value(rounding=ROUND_HALF_UP))


def _gross(doc: Row, value: object, vat: object) -> tuple[Decimal, Decimal]:
    """(sum with VAT, VAT) of a row."""
    taxed = _decimal(vat)
    return (_decimal(value) if doc["СуммаВключаетНДС"] else _decimal(value) + taxed), taxed


def _rate(base: Base, doc: Row) -> tuple[str, Decimal]:
    """(currency, or the empty reference for roubles, and roubles for one unit of it)."""
    currency = base.get(CURRENCIES, doc["ВалютаДокумента_Key"]) or {}
    if currency.get("Code") == "643":
        return EMPTY_REF, Decimal(1)
    multiplicity = _decimal(doc["КратностьВзаиморасчетов"]) or Decimal(1)
    return doc["ВалютаДокумента_Key"], _decimal(doc["КурсВзаиморасчетов"]) / multiplicity


def _kopecks(value: Decimal) -> int:
    return int((value * 100).to_integral_value(rounding=ROUND_HALF_UP))


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))
