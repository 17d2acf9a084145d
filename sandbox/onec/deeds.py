"""Single acts of the accountant on order: `{"act": ..., "set": ..., "document": key, ...}`.

    edit     "fields": {...}; a posted document is unposted, changed and posted again
    unpost, post, repost, mark, unmark, delete, touch
    rename   "name": of a counterparty, unless "set" says another catalog
    pay      "amount" (the document's sum), "date" (today), "cash": true by a cash order, for a sale or an invoice
    refund   the same, back to the buyer
    return   "quantity" of the first row (all rows whole): goods come back, Бухгалтерия alone
    correct  "quantity" and "price" of the first row: a correction of the sale, Бухгалтерия alone
    price    of a product: "price", "price_type" (the first), "date" (today): the document or record that sets it
    receive  of a product: "quantity", "cost" a piece (1), "place" (the first), "date": goods come in

Every act is in the base's truth. Raises ValueError for a wrong word and the base's refusal as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from sandbox.company.model import kopecks
from sandbox.onec.accounting import ACCOUNTING
from sandbox.onec.base import Base
from sandbox.onec.documents import Payment, as_cash, bank_document, vat_rate_of
from sandbox.onec.goods import place_of, price_kind, receive, set_prices
from sandbox.onec.model import (
    CASH_RECEIPT,
    CASH_WRITE_OFF,
    CORRECTION,
    COUNTERPARTIES,
    EMPTY_REF,
    INVOICE,
    PRODUCTS,
    REALIZATION,
    RECEIPT,
    RETURN,
    WRITE_OFF,
    EntitySet,
    Row,
)
from sandbox.onec.rules import vat_percent

SALES = {"onec": REALIZATION, "onec-trade": REALIZATION, "onec-smallfirm": "Document_РасходнаяНакладная"}
_SETTLED_BY_INVOICE = {INVOICE}


def do(base: Base, today: date, said: dict[str, Any]) -> dict[str, Any]:
    """Carry out one act and return what was written down of it; a document that came of it is `made`."""
    act, key = str(said.get("act", "")), str(said.get("document", "")).lower()
    if act not in _ACTS:
        raise ValueError(f"act is {act!r}; give one of {', '.join(_ACTS)}")
    usual = _USUAL.get(act) or SALES[base.configuration.name]
    entity = base.configuration.sets.get(str(said.get("set") or usual))
    if entity is None or entity.name not in base.rows:
        raise ValueError(f"set is {said.get('set')!r}; give a catalog or a document of this configuration")
    before = base.get(entity.name, key)
    if before is None:
        raise ValueError(f"document is {key!r}; {entity.name} holds no such object")
    made = _ACTS[act](_Deed(base, today, entity, key, dict(before), _plain(said)))
    after = base.get(entity.name, key) or {}
    written = {
        "act": act,
        "set": entity.name,
        "document": key,
        "date": today.isoformat(),
        "before": _title(before),
        "after": _title(after),
        **made,
    }
    base.record(f"{act}:{key}:{base.store.counter(f'{base.configuration.name}.deeds')}", **written)
    return written


class _Deed:
    """One act at work: the object as it was and what was said of it."""

    def __init__(self, base: Base, today: date, entity: EntitySet, key: str, old: Row, said: Row) -> None:
        self.base, self.entity, self.key, self.old, self.said = base, entity, key, old, said
        day = said.get("date")
        self.day = date.fromisoformat(str(day)) if day else today

    def change(self, fields: Row, *, post: bool) -> Row:
        """Change it as a person does: unposted first, posted again when it was and `post` says so."""
        posted = bool(self.old.get("Posted"))
        if posted:
            self.base.unpost(self.entity, self.key)
        self.base.update(self.entity, self.key, fields)
        if posted and post:
            self.base.post(self.entity, self.key)
        return {}

    def edit(self) -> Row:
        if not isinstance(self.said.get("fields"), dict):
            raise ValueError("fields is missing; give the properties to change")
        return self.change(self.said["fields"], post=True)

    def unpost(self) -> Row:
        self.base.unpost(self.entity, self.key)
        return {}

    def post(self) -> Row:
        self.base.post(self.entity, self.key)
        return {}

    def repost(self) -> Row:
        self.base.unpost(self.entity, self.key)
        return self.post()

    def mark(self) -> Row:
        return self.change({"DeletionMark": True}, post=False)

    def unmark(self) -> Row:
        return self.change({"DeletionMark": False}, post=False)

    def delete(self) -> Row:
        self.base.delete(self.entity, self.key)
        return {}

    def touch(self) -> Row:
        self.base.touch(self.entity, self.key)
        return {}

    def rename(self) -> Row:
        if not self.said.get("name"):
            raise ValueError("name is missing; give the new one")
        return self.change({"Description": str(self.said["name"])}, post=False)

    def pay(self) -> Row:
        return self._money(back=False)

    def refund(self) -> Row:
        return self._money(back=True)

    def _money(self, *, back: bool) -> Row:
        amount = Decimal(str(self.said.get("amount") or self.old.get("СуммаДокумента", 0)))
        key = str(uuid.uuid4())
        if self.base.configuration is ACCOUNTING:
            name, body = self._accounting_money(key, amount, back=back)
        else:
            name, body = self._other_money(key, amount, back=back)
        return self._made(name, body) | {"amount": str(amount)}

    def _accounting_money(self, key: str, amount: Decimal, *, back: bool) -> tuple[str, Row]:
        base, old = self.base, self.old
        invoice = (
            self.key if self.entity.name in _SETTLED_BY_INVOICE else old.get("СчетНаОплатуПокупателю_Key")
        )
        currency = old.get("ВалютаДокумента_Key", "")
        rate = base.rates.get(f"{currency}:{self.day.isoformat()}")
        payment = Payment(
            key,
            self.day,
            amount,
            old.get("Контрагент_Key", EMPTY_REF),
            old.get("ДоговорКонтрагента_Key", EMPTY_REF),
            f"{'Возврат оплаты' if back else 'Оплата'} по документу № {old.get('Number', '')}",
            invoice or EMPTY_REF,
            currency,
            Decimal(str(rate["Курс"])) if rate else Decimal(1),
            vat_rate_of(self.day),
        )
        body = bank_document(base, payment, "ВозвратПокупателю" if back else "ОплатаПокупателя")
        if self.said.get("cash"):
            return (CASH_WRITE_OFF if back else CASH_RECEIPT), as_cash(base, body)
        return (WRITE_OFF if back else RECEIPT), body

    def _other_money(self, key: str, amount: Decimal, *, back: bool) -> tuple[str, Row]:
        parts = self.base.configuration.parts
        row: Row = {name: self.old[name] for name in parts["copied_row"].split() if name in self.old}
        row |= {
            "LineNumber": "1",
            parts["row_sum"]: float(amount),
            parts["basis"]: self.key,
            f"{parts['basis']}_Type": f"StandardODATA.{self.entity.name}",
        }
        body: Row = {
            "Ref_Key": key,
            "Date": f"{self.day.isoformat()}T12:00:00",
            "СуммаДокумента": float(amount),
        }
        for source, _, target in (word.partition("=") for word in parts["copied"].split()):
            body[target or source] = self.old.get(source, EMPTY_REF)
        operation = parts["operation_out" if back else "operation_in"]
        body |= {"ХозяйственнаяОперация": operation, "ВидОперации": operation, "РасшифровкаПлатежа": [row]}
        return parts["money_out" if back else "money_in"], body

    def goods_back(self) -> Row:
        """A return of the sale's goods: all of them, or `quantity` of the first row."""
        full = self._sale()
        rows = [dict(row) for row in full["Товары"]]
        if "quantity" in self.said:
            rows = rows[:1]
        for row in rows:
            _set(self.base, row, full, Decimal(str(self.said.get("quantity", row["Количество"]))), None)
        body = {name: full[name] for name in _COPIED} | {"Сделка": self.key, "Товары": _numbered(rows)}
        body |= {"Сделка_Type": f"StandardODATA.{self.entity.name}", "ВидОперации": "ПродажаКомиссия"}
        return self._made(RETURN, body | {"СуммаДокумента": _total(full, rows)})

    def correct(self) -> Row:
        """A correction of the sale: the first row gets another quantity, price or both."""
        full = self._sale()
        tables = {table: [dict(row) for row in full[table]] for table in ("Товары", "Услуги")}
        rows = tables["Товары"] or tables["Услуги"]
        for row in (row for table in tables.values() for row in table):
            for name in ("Количество", "Цена", "Сумма", "СуммаНДС"):
                row[f"{name}ДоИзменения"] = row[name]
        quantity = Decimal(str(self.said.get("quantity", rows[0]["Количество"])))
        price = self.said.get("price")
        _set(self.base, rows[0], full, quantity, None if price is None else Decimal(str(price)))
        every = [row for table in tables.values() for row in table]
        body = {name: full[name] for name in _COPIED} | {
            table: _numbered(found) for table, found in tables.items()
        }
        body |= {
            "ДокументРеализации": self.key,
            "ДокументРеализации_Type": f"StandardODATA.{self.entity.name}",
        }
        body |= {"ВидОперации": "СогласованноеИзменение", "СуммаДокумента": _total(full, every)}
        return self._made(CORRECTION, body)

    def price(self) -> Row:
        """A new price of a product in one list, from a day on."""
        if "price" not in self.said:
            raise ValueError("price is missing; give the new one")
        price = Decimal(str(self.said["price"]))
        kind = price_kind(self.base, str(self.said.get("price_type") or ""))
        made = set_prices(self.base, kind, f"{self.day.isoformat()}T09:00:00", [(self._product(), price)])
        return {"made": made, "price": str(price), "price_type": kind, "date": self.day.isoformat()}

    def receive(self) -> Row:
        """Goods of a product come in."""
        quantity, cost = (Decimal(str(self.said.get(name, 1))) for name in ("quantity", "cost"))
        place = place_of(self.base, str(self.said.get("place") or ""))
        made = receive(self.base, self._product(), quantity, cost, place, self.day)
        return {"made": made, "quantity": str(quantity), "place": place, "date": self.day.isoformat()}

    def _product(self) -> str:
        if self.entity.name != PRODUCTS or self.old.get("IsFolder"):
            raise ValueError(f"this act is for a product of {PRODUCTS}")
        return self.key

    def _sale(self) -> Row:
        if self.base.configuration is not ACCOUNTING or self.entity.name != REALIZATION:
            raise ValueError(f"this act is for {REALIZATION} of onec")
        return self.base.full(self.entity, self.old)

    def _made(self, name: str, body: Row) -> Row:
        entity = self.base.configuration.sets[name]
        made = {"Ref_Key": str(uuid.uuid4()), "Date": f"{self.day.isoformat()}T15:00:00", **body}
        self.base.create(entity, made)
        self.base.post(entity, made["Ref_Key"])
        return {"made": made["Ref_Key"], "made_set": name, "date": self.day.isoformat()}


_COPIED = (
    "Организация_Key",
    "Контрагент_Key",
    "ДоговорКонтрагента_Key",
    "Склад_Key",
    "ВалютаДокумента_Key",
    "КурсВзаиморасчетов",
    "КратностьВзаиморасчетов",
    "СуммаВключаетНДС",
    "СчетУчетаРасчетовСКонтрагентом_Key",
    "СчетУчетаРасчетовПоАвансам_Key",
)
_ACTS: dict[str, Callable[[_Deed], Row]] = {
    "edit": _Deed.edit,
    "unpost": _Deed.unpost,
    "post": _Deed.post,
    "repost": _Deed.repost,
    "mark": _Deed.mark,
    "unmark": _Deed.unmark,
    "delete": _Deed.delete,
    "touch": _Deed.touch,
    "rename": _Deed.rename,
    "pay": _Deed.pay,
    "refund": _Deed.refund,
    "return": _Deed.goods_back,
    "correct": _Deed.correct,
    "price": _Deed.price,
    "receive": _Deed.receive,
}
_USUAL = {"rename": COUNTERPARTIES, "price": PRODUCTS, "receive": PRODUCTS}


def _set(base: Base, row: Row, document: Row, quantity: Decimal, price: Decimal | None) -> None:
    """Carry a row's new quantity and price through its sum and VAT."""
    price = Decimal(str(row["Цена"])) if price is None else price
    value, rate = kopecks(price * quantity), vat_percent(base, row) or 0
    vat = kopecks(value * rate / (100 + rate if document["СуммаВключаетНДС"] else 100))
    row.update(Количество=float(quantity), Цена=float(price), Сумма=float(value), СуммаНДС=float(vat))


def _total(document: Row, rows: list[Row]) -> float:
    taxed = not document["СуммаВключаетНДС"]
    return float(
        sum(
            (Decimal(str(r["Сумма"])) + (Decimal(str(r["СуммаНДС"])) if taxed else 0) for r in rows),
            Decimal(0),
        )
    )


def _numbered(rows: list[Row]) -> list[Row]:
    return [{**row, "LineNumber": str(place)} for place, row in enumerate(rows, 1)]


def _title(row: Row) -> str:
    return str(row.get("СуммаДокумента", row.get("Description", "")))


def _plain(value: Any) -> Any:
    """JSON as the base takes it: Decimal of a control call becomes a double."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
