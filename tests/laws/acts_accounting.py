"""What accountants do in their base, and people in the mapping files."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pipelines.payments.decisions import allocate, pays_none, undo
from tests.laws.act import ACCOUNTING, DAYS, NAMES, PRICES, RULES, act, pick
from tests.laws.acts_crm import deal_of
from tests.laws.books import COUNTERPARTY, EMPTY, OTHERS, Books
from tests.laws.town import REWORDINGS, Town, inn

# ---- in accounting ----------------------------------------------------------------------------


def _document(books: Books, kind: str, number: int) -> str | None:
    return pick(list(books.all(kind)), number)


def _kind(number: int) -> str:
    return ("invoice", "realization")[number % 2]


def _party(books: Books, number: int) -> str:
    return list(books.all("counterparty"))[number % len(books.all("counterparty"))]


def _currency(books: Books, code: str) -> str:
    return next(key for key, row in books.all("currency").items() if row["Code"] == code)


@act(ACCOUNTING)
def edit_document(town: Town, a: int, b: int, c: int) -> None:
    books, kind = town.books, _kind(b)
    if key := _document(books, kind, a):
        fields = (
            {"СуммаДокумента": Decimal(PRICES[b % 5])},
            {"Контрагент_Key": _party(books, b)},
            {"Posted": False},
            {"Posted": kind == "realization"},
            {"DeletionMark": True},
            {"DeletionMark": False},
            {"Date": f"{DAYS[b % 4]}T12:00:00"},
            {"Number": f"0000-{b:06d}"},
            {"ВалютаДокумента_Key": _currency(books, "840")},
            {"Комментарий": "исправлено"},
        )
        books.change(kind, key, **fields[c % len(fields)])


@act(ACCOUNTING)
def foreign_document(town: Town, a: int, b: int, c: int) -> None:
    """By hand; with the words of one of our deals now and then."""
    deal = deal_of(town.portal, a)
    town.books.add(
        _kind(b),
        Date="2026-03-11T00:00:00",
        Контрагент_Key=_party(town.books, a),
        ВалютаДокумента_Key=_currency(town.books, "643"),
        СуммаДокумента=Decimal(PRICES[c % 5]),
        Комментарий=f"crm:bitrix24:{deal}" if c % 2 else "вручную",
        Товары=[],
    )


@act(ACCOUNTING)
def copy_document(town: Town, a: int, b: int, c: int) -> None:
    kind = _kind(b)
    if key := _document(town.books, kind, a):
        body = {
            name: value
            for name, value in town.books.all(kind)[key].items()
            if name not in ("Ref_Key", "Number", "DataVersion")
        }
        town.books.add(kind, **body)


@act(ACCOUNTING)
def delete_document(town: Town, a: int, b: int, c: int) -> None:
    kind = ("invoice", "realization", "payment", "refund")[b % 4]
    if key := _document(town.books, kind, a):
        town.books.delete(kind, key)


@act(ACCOUNTING)
def pay(town: Town, a: int, b: int, c: int) -> None:
    """An invoice, wholly, in part, too much; stated, named in the purpose, or neither; by its buyer or another."""
    books = town.books
    if not (key := _document(books, "invoice", a)):
        return
    invoice = books.all("invoice")[key]
    whole = Decimal(str(invoice["СуммаДокумента"]))
    amount = (whole, whole, (whole / 3).quantize(Decimal("0.01")), whole + 100)[b % 4]
    buyer = _party(books, c) if c >= 8 else invoice.get("Контрагент_Key", EMPTY)
    stated = [{"LineNumber": "1", "СчетНаОплату_Key": key, "СуммаПлатежа": amount}] if c % 3 == 0 else []
    purpose = f"Оплата по счету {invoice['Number'][-4:].lstrip('0')}" if c % 3 == 1 else "За товары"
    town.books.add(
        "payment",
        Date="2026-04-02T00:00:00",
        Контрагент=buyer,
        Контрагент_Type=COUNTERPARTY,
        НазначениеПлатежа=purpose,
        ВалютаДокумента_Key=invoice.get("ВалютаДокумента_Key", EMPTY),
        СуммаДокумента=amount,
        РасшифровкаПлатежа=stated,
    )


@act(ACCOUNTING)
def refund(town: Town, a: int, b: int, c: int) -> None:
    town.books.add(
        "refund",
        Date="2026-04-03T00:00:00",
        Контрагент=_party(town.books, a),
        Контрагент_Type=COUNTERPARTY,
        НазначениеПлатежа="Возврат",
        ВалютаДокумента_Key=_currency(town.books, "643"),
        СуммаДокумента=Decimal(PRICES[c % 5]),
        РасшифровкаПлатежа=[],
    )


@act(ACCOUNTING)
def money_of_others(town: Town, a: int, b: int, c: int) -> None:
    """Of exactly what an invoice comes to, with its buyer or nobody: a supplier's, a loan, a tax, our own accounts'."""
    kind = ("payment", "refund")[b % 2]
    operation = list(OTHERS[kind])[c % 3]
    if key := _document(town.books, "invoice", a):
        invoice = town.books.all("invoice")[key]
        town.books.add(
            kind,
            Date="2026-04-02T00:00:00",
            ВидОперации=operation,
            Контрагент=EMPTY if c % 3 == 2 else invoice.get("Контрагент_Key", EMPTY),
            Контрагент_Type=COUNTERPARTY,
            НазначениеПлатежа=f"По счету {invoice['Number'][-4:].lstrip('0')}",
            ВалютаДокумента_Key=invoice.get("ВалютаДокумента_Key", EMPTY),
            СуммаДокумента=Decimal(str(invoice.get("СуммаДокумента", 1))),  # one saved by half has none
            РасшифровкаПлатежа=[],
        )


@act(ACCOUNTING)
def edit_payment(town: Town, a: int, b: int, c: int) -> None:
    if key := _document(town.books, "payment", a):
        fields: Sequence[dict[str, Any]]
        fields = (
            {"Posted": False},
            {"Posted": True},
            {"DeletionMark": True},
            {"DeletionMark": False},
            {"СуммаДокумента": Decimal(PRICES[b % 5])},
            {"Контрагент": _party(town.books, b)},
            {"РасшифровкаПлатежа": []},
            {"Контрагент": EMPTY},
        )
        town.books.change("payment", key, **fields[c % len(fields)])


@act(ACCOUNTING)
def keep_catalogues(town: Town, a: int, b: int, c: int) -> None:
    """New, renamed, twice there, marked for deletion and back."""
    books = town.books
    kind = ("counterparty", "product", "contract")[a % 3]
    key = pick(list(books.all(kind)), b)
    match c % 4:
        case 0 if kind == "counterparty":
            books.add(
                kind,
                Code=f"Н{books.versions}",
                Description="Заря АО",
                НаименованиеПолное='АО "Заря"',
                ИНН=(inn(1), inn(2), "", inn(41))[b % 4],
                КПП="770101001",
                IsFolder=False,
            )
        case 0 if kind == "product":
            books.add(
                kind,
                Code=f"Н{books.versions}",
                Артикул=("LM", "")[b % 2],
                Description=NAMES[b % 5],
                Услуга=False,
                IsFolder=False,
            )
        case 1 if key:
            books.change(kind, key, Description=("Ромашка", "Коврик", "Основной договор")[b % 3])
        case 2 if key:
            books.change(kind, key, DeletionMark=True)
        case 3 if key:
            books.change(
                kind, key, DeletionMark=False, **({"ИНН": inn(2 + b % 2)} if kind == "counterparty" else {})
            )


@act(ACCOUNTING)
def new_rate(town: Town, a: int, b: int, c: int) -> None:
    dollar = _currency(town.books, "840")
    day = DAYS[a % 4]
    town.books.save(
        "currency_rate",
        f"{day}T00:00:00:{dollar}",
        {"Period": f"{day}T00:00:00", "Валюта_Key": dollar, "Курс": f"8{b}.{c}", "Кратность": "1"},
    )


# ---- in the mapping files ---------------------------------------------------------------------


@act(RULES)
def reword(town: Town, a: int, b: int, c: int) -> None:
    town.remap(sorted(REWORDINGS)[a % len(REWORDINGS)])


@act(RULES)
def release(town: Town, a: int, b: int, c: int) -> None:
    """A person lets a held deal pass one check, or takes that back."""
    held = town.rows("select deal_id, check_name from documents.held order by held_id")
    if chosen := pick(held, a):
        town.warehouse.execute(
            "insert into ops.release (deal_id, check_name, actor, reason) values (%s, %s, 'anna', 'known')",
            chosen,
        )
    elif b % 2:
        town.warehouse.execute("update ops.release set revoked_at = now() where revoked_at is null")


@act(RULES)
def decide_payment(town: Town, a: int, b: int, c: int) -> None:
    """A person says what a payment pays, or that it pays nothing, or takes a word back. What is refused is not said."""
    payment = pick(town.rows("select payment_key from ledger.payment order by 1"), a)
    document = pick(town.rows("select document_key from ledger.obligation order by 1"), b)
    said = pick(town.rows("select decision_id::text from ops.payment_decision order by decided_at"), a)
    with town.warehouse.transaction() as conn:
        if c == 0 and said:
            undo(conn, *said, "anna", "mistaken")
        elif c == 1 and payment:
            pays_none(conn, *payment, "anna", "a loan")
        elif payment and document:
            amount = Decimal(PRICES[c % 5]) if c % 2 else None
            allocate(conn, *payment, *document, amount, "anna", "said on the phone")
