"""What the road must arrive at, worked out from the two sides alone: no table of the road is looked at."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from tests.laws.books import CENT, COUNTERPARTY, EMPTY, SETTLES, Payload
from tests.laws.town import Town

Place = tuple[str, str, str]  # counterparty, currency, measure; '-' where there is none
NONE = "-"
CALLED_FOR = {"PREPAYMENT_INVOICE": 1, "EXECUTING": 1, "FINAL_INVOICE": 2, "WON": 2, "C1:WON": 2}
MEASURES = {"invoice": "invoiced", "realization": "realized"}


def expected(town: Town) -> dict[Place, Decimal]:
    """Documents that the portal's deals call for, by the client's only INN and the deal's currency."""
    sums: dict[Place, Decimal] = defaultdict(Decimal)
    numbers = {row["ENTITY_ID"]: row["RQ_INN"] for row in town.portal.all("requisite").values()}
    parties = {row["ИНН"]: key for key, row in town.books.all("counterparty").items()}
    currencies = {"RUB": "643", "USD": "840"}
    codes = {row["Code"]: key for key, row in town.books.all("currency").items()}
    for deal, row in town.portal.all("deal").items():
        party = parties[numbers[str(row["companyId"])]]
        for measure in ("invoiced", "realized")[: CALLED_FOR.get(row["stageId"], 0)]:
            sums[f"onec:{party}", f"onec:{codes[currencies[row['currencyId']]]}", measure] += (
                town.portal.total(deal)
            )
    return sums


def actual(town: Town) -> dict[Place, Decimal]:
    """Documents that count in accounting: invoices not marked for deletion, realizations and payments posted."""
    sums: dict[Place, Decimal] = defaultdict(Decimal)
    for kind, measure in MEASURES.items():
        for row in town.books.all(kind).values():
            if not row["DeletionMark"] and (kind == "invoice" or row["Posted"]):
                sums[_of(row["Контрагент_Key"]), _of(row["ВалютаДокумента_Key"]), measure] += _money(
                    row["СуммаДокумента"]
                )
    for kind, sign in (("payment", 1), ("refund", -1)):
        for row in town.books.all(kind).values():
            if not row["DeletionMark"] and row["Posted"] and row["ВидОперации"] == SETTLES[kind]:
                party = _of(row["Контрагент"]) if row["Контрагент_Type"] == COUNTERPARTY else NONE
                sums[party, _of(row["ВалютаДокумента_Key"]), "paid"] += sign * _money(row["СуммаДокумента"])
    return sums


def paid_at_least_in_part(town: Town) -> dict[Place, Decimal]:
    """Sums of the documents to which some payment is allocated: what `paid` is measured against."""
    sums: dict[Place, Decimal] = defaultdict(Decimal)
    for (document,) in town.rows("select distinct document_key from ledger.allocation"):
        key = document.removeprefix("onec:")
        row = town.books.all("invoice").get(key) or town.books.all("realization")[key]
        sums[_of(row["Контрагент_Key"]), _of(row["ВалютаДокумента_Key"]), "paid"] += _money(
            row["СуммаДокумента"]
        )
    return sums


def exchanged(town: Town) -> dict[Place, Decimal]:
    """What foreign payments of realized sales came to less, in roubles, than at the rates of the realizations."""
    sums: dict[Place, Decimal] = defaultdict(Decimal)
    rouble = next(key for key, row in town.books.all("currency").items() if row["Code"] == "643")
    deals = dict(
        town.rows("select 'onec:' || key, subject from ops.operation where ops.is_document(kind)")
        + town.rows("select document_key, deal_id from documents.document")
    )
    taken_back = {row["Основание_Key"] for row in town.books.all("return").values() if row["Posted"]}
    parts = town.rows("select counterparty_key, payment_key, document_key, amount from ledger.allocation")
    for party, payment_key, document, amount in parts:
        payment = town.books.all("payment")[payment_key.removeprefix("onec:")]
        currency = payment["ВалютаДокумента_Key"]
        sold = [
            (row["Date"][:10], key)
            for key, row in town.books.all("realization").items()
            if row["Posted"] and not row["DeletionMark"] and row["ВалютаДокумента_Key"] == currency
            and row["Date"][:10] <= payment["Date"][:10] and key not in taken_back
            and (f"onec:{key}" == document or deals.get(f"onec:{key}", "-") == deals.get(document))
        ]  # fmt: skip
        if currency == rouble or not sold:
            continue
        realization = town.books.all("realization")[min(sold)[1]]
        at = _rate(town, realization), _rate(town, payment)
        if None not in at:
            realized, paid = ((amount * rate).quantize(CENT, "ROUND_HALF_UP") for rate in at if rate)
            sums[party, f"onec:{rouble}", "exchanged"] += realized - paid
    return sums


def _rate(town: Town, document: Payload) -> Decimal | None:
    """As the document says, else the last one of its day."""
    if said := _money(document.get("КурсВзаиморасчетов") or 0):
        return said / _money(document.get("КратностьВзаиморасчетов") or 1)
    listed = [
        (row["Period"], _money(row["Курс"]) / _money(row["Кратность"]))
        for row in town.books.all("currency_rate").values()
        if row["Валюта_Key"] == document["ВалютаДокумента_Key"]
        and row["Period"][:10] <= document["Date"][:10]
    ]
    return max(listed)[1] if listed else None


def turnover(town: Town) -> dict[str, tuple[Decimal, Decimal]]:
    """Debit and credit of every account over all entries of the books."""
    codes = {key: row["Code"] for key, row in town.books.all("account").items()}
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for rows in town.books.entries.values():
        for row in rows:
            for side, place in (("Dr", 0), ("Cr", 1)):
                sums = list(found.get(codes[row[f"Account{side}_Key"]], (Decimal(0), Decimal(0))))
                sums[place] += row["Сумма"]
                found[codes[row[f"Account{side}_Key"]]] = (sums[0], sums[1])
    return found


def _of(key: str) -> str:
    return NONE if key in ("", EMPTY) else f"onec:{key}"


def _money(value: object) -> Decimal:
    return Decimal(str(value))
