"""What people do, on either side: each act is its name and three small numbers that say to what and how.

An act that finds nothing to do does nothing, so that any sequence of acts is a history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from resources.connector import Reject
from tests.laws.books import COUNTERPARTY, EMPTY, Books
from tests.laws.portal import Portal
from tests.laws.town import REWORDINGS, Town, add_company, add_deal, add_requisite, inn

T = TypeVar("T")
STAGES = ("NEW", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "LOSE", "ODD", "C1:NEW", "C1:WON")
PRICES = ("0.01", "33.33", "999.99", "1200.5", "12345.67")
NAMES = ("Стол", "Коврик", "Лампа", "Коврик старый", "Неведомое")
DAYS = ("2026-01-15", "2026-03-05", "2026-03-20", "2026-04-11")


class Act(NamedTuple):
    verb: str
    a: int = 0
    b: int = 0
    c: int = 0


Doing = Callable[[Town, int, int, int], Any]
CRM: dict[str, Doing] = {}
BRANCH: dict[str, Doing] = {}
ACCOUNTING: dict[str, Doing] = {}
RULES: dict[str, Doing] = {}


def history(*kinds: dict[str, Doing], least: int = 1, most: int = 8) -> st.SearchStrategy[list[Act]]:
    verbs = sorted(verb for kind in kinds for verb in kind)
    numbers = st.integers(0, 9)
    return st.lists(st.builds(Act, st.sampled_from(verbs), numbers, numbers, numbers), min_size=least, max_size=most)


def do(town: Town, act: Act) -> None:
    doing = next(kind[act.verb] for kind in (CRM, BRANCH, ACCOUNTING, RULES) if act.verb in kind)
    doing(town, act.a, act.b, act.c)


def pick(items: Sequence[T], number: int) -> T | None:
    return items[number % len(items)] if items else None


def _act(kind: dict[str, Doing]) -> Callable[[Doing], Doing]:
    def keep(doing: Doing) -> Doing:
        kind[doing.__name__] = doing
        return doing

    return keep


# ---- in the CRM -------------------------------------------------------------------------------


def _deal(portal: Portal, number: int) -> str | None:
    return pick(list(portal.all("deal")), number)


def _company(portal: Portal, number: int) -> str | None:
    return pick(list(portal.all("company")), number)


@_act(CRM)
def new_deal(town: Town, a: int, b: int, c: int) -> None:
    company = _company(town.portal, a)
    if company:
        add_deal(town.portal, company, STAGES[b % len(STAGES)], "USD" if c == 9 else "RUB", lines=c % 4, price=PRICES[c % 5])


@_act(CRM)
def new_company(town: Town, a: int, b: int, c: int) -> None:
    """With the INN of another now and then, or none, or a broken one."""
    number = {0: inn(1), 1: "", 2: "7701"}.get(b % 6)
    add_company(town.portal, 30 + a, ("Вектор", "Заря", "Ромашка")[c % 3], number)


@_act(CRM)
def move_stage(town: Town, a: int, b: int, c: int) -> None:
    if deal := _deal(town.portal, a):
        stage = STAGES[b % len(STAGES)]
        town.portal.change("deal", deal, stageId=stage, categoryId="1" if stage.startswith("C1:") else "0")


@_act(CRM)
def edit_line(town: Town, a: int, b: int, c: int) -> None:
    if (deal := _deal(town.portal, a)) and (line := pick(list(town.portal.lines(deal)), b)):
        town.portal.put_line(deal, line, price=PRICES[c % 5], quantity=1 + b % 3, taxRate=(22, 10, 0, None)[c % 4])


@_act(CRM)
def add_line(town: Town, a: int, b: int, c: int) -> None:
    """Of the catalogue, or by a name alone."""
    if deal := _deal(town.portal, a):
        linked = {"productId": 11 + b % 4} if c % 2 else {"productId": 0}
        town.portal.put_line(deal, town.portal.number(), **linked, productName=NAMES[b % len(NAMES)], price=PRICES[c % 5],
                             quantity=2, taxRate=22, measureName=("шт", None, "пучок")[c % 3], sort=b)  # fmt: skip


@_act(CRM)
def remove_line(town: Town, a: int, b: int, c: int) -> None:
    if (deal := _deal(town.portal, a)) and (line := pick(list(town.portal.lines(deal)), b)):
        town.portal.drop("deal_line", line)
        town.portal.sum_up(deal)


@_act(CRM)
def delete_deal(town: Town, a: int, b: int, c: int) -> None:
    if deal := _deal(town.portal, a):
        for line in town.portal.lines(deal):
            town.portal.drop("deal_line", line)
        if deal in town.portal.all("deal_requisite"):
            town.portal.drop("deal_requisite", deal)
        town.portal.drop("deal", deal)


@_act(CRM)
def restore_deal(town: Town, a: int, b: int, c: int) -> None:
    """Out of the bin, with the stamp that it had."""
    portal = town.portal
    gone = [key for entity, key in portal.bin if entity == "deal" and key not in portal.all("deal")]
    if deal := pick(gone, a):
        portal.rows["deal"][deal] = portal.bin["deal", deal]
        for (entity, key), row in list(portal.bin.items()):
            if entity == "deal_line" and row["ownerId"] == int(deal) and b % 2 == 0:
                portal.rows["deal_line"][key] = row


@_act(CRM)
def give_deal(town: Town, a: int, b: int, c: int) -> None:
    """Another client, nobody, another manager, another day."""
    if deal := _deal(town.portal, a):
        company = _company(town.portal, b)
        fields = ({"companyId": int(company or 0)}, {"companyId": 0}, {"assignedById": 2}, {"closedate": f"{DAYS[b % 4]}T03:00:00+03:00"},
                  {"currencyId": "USD"}, {"currencyId": "RUB"}, {"currencyId": "XXX"}, {"title": f"ТЕСТ {b}"}, {"title": f"Сделка {b}"})  # fmt: skip
        town.portal.change("deal", deal, **fields[c % len(fields)])


@_act(CRM)
def misstate_amount(town: Town, a: int, b: int, c: int) -> None:
    if deal := _deal(town.portal, a):
        town.portal.change("deal", deal, opportunity=(None, Decimal("1.00"), "много", town.portal.total(deal))[b % 4])


@_act(CRM)
def name_requisite(town: Town, a: int, b: int, c: int) -> None:
    """Say in the deal which details sign, or no longer."""
    portal = town.portal
    if deal := _deal(portal, a):
        requisite = pick(list(portal.all("requisite")), b)
        if c % 3 == 0 and deal in portal.all("deal_requisite"):
            portal.drop("deal_requisite", deal)
        elif requisite:
            portal.put("deal_requisite", deal, {"ENTITY_ID": deal, "ENTITY_TYPE_ID": 2, "REQUISITE_ID": requisite})
        portal.change("deal", deal)


@_act(CRM)
def edit_requisite(town: Town, a: int, b: int, c: int) -> None:
    if requisite := pick(list(town.portal.all("requisite")), a):
        fields = ({"RQ_INN": inn(40 + b)}, {"RQ_INN": inn(1)}, {"RQ_INN": ""}, {"RQ_INN": "123"}, {"RQ_KPP": f"77010{b:04d}"}, {"RQ_KPP": ""},
                  {"ACTIVE": "N"}, {"ACTIVE": "Y"}, {"RQ_COMPANY_NAME": 'ООО "Прочие"'}, {"RQ_COMPANY_NAME": 'АО "Заря"'})  # fmt: skip
        town.portal.change("requisite", requisite, **fields[c % len(fields)])


@_act(CRM)
def more_requisites(town: Town, a: int, b: int, c: int) -> None:
    if company := _company(town.portal, a):
        add_requisite(town.portal, company, "Вторая", inn(60 + b) if c % 3 else "")


@_act(CRM)
def drop_requisite(town: Town, a: int, b: int, c: int) -> None:
    if requisite := pick(list(town.portal.all("requisite")), a):
        town.portal.drop("requisite", requisite)


@_act(CRM)
def edit_company(town: Town, a: int, b: int, c: int) -> None:
    if company := _company(town.portal, a):
        fields = ({"title": f'ООО "Новая {b}"'}, {"isMyCompany": "Y"}, {"isMyCompany": "N"}, {"assignedById": 2})
        town.portal.change("company", company, **fields[c % len(fields)])


@_act(CRM)
def merge_companies(town: Town, a: int, b: int, c: int) -> None:
    portal = town.portal
    one, other = _company(portal, a), _company(portal, b)
    if one and other and one != other:
        for deal, row in list(portal.all("deal").items()):
            if row["companyId"] == int(other):
                portal.change("deal", deal, companyId=int(one))
        for requisite, row in list(portal.all("requisite").items()):
            if row["ENTITY_ID"] == other:
                portal.change("requisite", requisite, ENTITY_ID=one)
        portal.change("company", one)
        portal.drop("company", other)


@_act(CRM)
def edit_product(town: Town, a: int, b: int, c: int) -> None:
    portal = town.portal
    if product := pick(list(portal.all("product")), a):
        fields = ({"name": NAMES[b % 5]}, {"code": ("ST-1", "LM", "", "N-1")[b % 4], "xmlId": ""}, {"type": (1, 7)[b % 2]}, {"measure": (5, 9, 2)[b % 3]})
        portal.change("product", product, **fields[c % 4])


@_act(CRM)
def drop_product(town: Town, a: int, b: int, c: int) -> None:
    """And back: a deleted one returns under its id."""
    portal = town.portal
    gone = [key for entity, key in portal.bin if entity == "product" and key not in portal.all("product")]
    if gone and c % 2:
        portal.put("product", gone[0], portal.bin["product", gone[0]])
    elif product := pick(list(portal.all("product")), a):
        portal.drop("product", product)


@_act(CRM)
def new_product(town: Town, a: int, b: int, c: int) -> None:
    key = str(5 + a) if c % 2 else town.portal.number()  # ids may lie below those that are known
    town.portal.put("product", key, {"id": int(key), "iblockId": 1, "name": NAMES[b % 5], "code": "", "xmlId": "", "measure": 5,
                                     "type": 1, "vatId": 1, "active": "Y"})  # fmt: skip


@_act(CRM)
def rename(town: Town, a: int, b: int, c: int) -> None:
    """An employee or a stage."""
    if c % 2:
        town.portal.change("employee", "12"[a % 2], LAST_NAME=f"Ли{b}")
    elif stage := pick(list(town.portal.all("stage")), a):
        town.portal.change("stage", stage, NAME=f"Стадия {b}", SEMANTICS=("S", "F", None)[b % 3])


@_act(CRM)
def deliver_badly(town: Town, a: int, b: int, c: int) -> None:
    town.portal.delivery.seed = a * 100 + b * 10 + c
    town.sheets.delivery.seed = a * 100 + b * 10 + c


@_act(CRM)
def touch(town: Town, a: int, b: int, c: int) -> None:
    """Saved anew, nothing changed but the stamp."""
    for entity in ("deal", "company", "requisite", "product"):
        if key := pick(list(town.portal.all(entity)), a):
            town.portal.change(entity, key)


@_act(CRM)
def send_rubbish(town: Town, a: int, b: int, c: int) -> None:
    town.portal.rejects = [("deal", Reject(f"deal list, row {a}", "a row without an id", b"{}"))] if b % 2 else []


@_act(CRM)
def wait(town: Town, a: int, b: int, c: int) -> None:
    """Long enough for the next read's window to begin after what was read before."""
    town.portal.tick(120 * (1 + a))


# ---- in the branch's sheets -------------------------------------------------------------------


@_act(BRANCH)
def sell(town: Town, a: int, b: int, c: int) -> None:
    key = f"Б-{1 + a % 3}/{NAMES[b % 3]}"
    number = (inn(1), inn(9), "", "123")[c % 4]
    town.sheets.now = town.portal.tick()
    town.sheets.put("sale", key, {
        "№ сделки": f"Б-{1 + a % 3}", "Товар": NAMES[b % 3], "Клиент": ("Ромашка ООО", "Сосна", "ИП Петров")[c % 3], "ИНН": number, "КПП": "",
        "Кол-во": "3", "Цена": PRICES[c % 5].replace(".", ","), "Стадия": ("Новая", "Счёт выставлен", "Отгружено", "Отказ")[b % 4],
        "Валюта": "RUB", "Дата закрытия": "05.03.2026", "Менеджер": ("Орлова", "Ким")[a % 2], "Ставка НДС": "22%",
        "Сумма": f"{Decimal(PRICES[c % 5]) * 3:.2f}".replace(".", ","),
    })  # fmt: skip


@_act(BRANCH)
def resend(town: Town, a: int, b: int, c: int) -> None:
    """The same row in a newer file."""
    if key := pick(list(town.sheets.all("sale")), a):
        town.sheets.now = town.portal.tick()
        town.sheets.put("sale", key, town.sheets.rows["sale"][key])


# ---- in accounting ----------------------------------------------------------------------------


def _document(books: Books, kind: str, number: int) -> str | None:
    return pick(list(books.all(kind)), number)


def _kind(number: int) -> str:
    return ("invoice", "realization")[number % 2]


def _party(books: Books, number: int) -> str:
    return list(books.all("counterparty"))[number % len(books.all("counterparty"))]


def _currency(books: Books, code: str) -> str:
    return next(key for key, row in books.all("currency").items() if row["Code"] == code)


@_act(ACCOUNTING)
def edit_document(town: Town, a: int, b: int, c: int) -> None:
    books, kind = town.books, _kind(b)
    if key := _document(books, kind, a):
        fields = ({"СуммаДокумента": Decimal(PRICES[b % 5])}, {"Контрагент_Key": _party(books, b)}, {"Posted": False}, {"Posted": kind == "realization"},
                  {"DeletionMark": True}, {"DeletionMark": False}, {"Date": f"{DAYS[b % 4]}T12:00:00"}, {"Number": f"0000-{b:06d}"},
                  {"ВалютаДокумента_Key": _currency(books, "840")}, {"Комментарий": "исправлено"})  # fmt: skip
        books.change(kind, key, **fields[c % len(fields)])


@_act(ACCOUNTING)
def foreign_document(town: Town, a: int, b: int, c: int) -> None:
    """By hand; with the words of one of our deals now and then."""
    deal = _deal(town.portal, a)
    town.books.add(_kind(b), Date="2026-03-11T00:00:00", Контрагент_Key=_party(town.books, a), ВалютаДокумента_Key=_currency(town.books, "643"),
                   СуммаДокумента=Decimal(PRICES[c % 5]), Комментарий=f"crm:bitrix24:{deal}" if c % 2 else "вручную", Товары=[])  # fmt: skip


@_act(ACCOUNTING)
def copy_document(town: Town, a: int, b: int, c: int) -> None:
    kind = _kind(b)
    if key := _document(town.books, kind, a):
        body = {name: value for name, value in town.books.all(kind)[key].items() if name not in ("Ref_Key", "Number", "DataVersion")}
        town.books.add(kind, **body)


@_act(ACCOUNTING)
def delete_document(town: Town, a: int, b: int, c: int) -> None:
    kind = ("invoice", "realization", "payment", "refund")[b % 4]
    if key := _document(town.books, kind, a):
        town.books.delete(kind, key)


@_act(ACCOUNTING)
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
    town.books.add("payment", Date="2026-04-02T00:00:00", Контрагент=buyer, Контрагент_Type=COUNTERPARTY, НазначениеПлатежа=purpose,
                   ВалютаДокумента_Key=invoice.get("ВалютаДокумента_Key", EMPTY), СуммаДокумента=amount, РасшифровкаПлатежа=stated)  # fmt: skip


@_act(ACCOUNTING)
def refund(town: Town, a: int, b: int, c: int) -> None:
    town.books.add("refund", Date="2026-04-03T00:00:00", Контрагент=_party(town.books, a), Контрагент_Type=COUNTERPARTY, НазначениеПлатежа="Возврат",
                   ВалютаДокумента_Key=_currency(town.books, "643"), СуммаДокумента=Decimal(PRICES[c % 5]), РасшифровкаПлатежа=[])  # fmt: skip


@_act(ACCOUNTING)
def edit_payment(town: Town, a: int, b: int, c: int) -> None:
    if key := _document(town.books, "payment", a):
        fields = ({"Posted": False}, {"Posted": True}, {"DeletionMark": True}, {"DeletionMark": False}, {"СуммаДокумента": Decimal(PRICES[b % 5])},
                  {"Контрагент": _party(town.books, b)}, {"РасшифровкаПлатежа": []}, {"Контрагент": EMPTY})  # fmt: skip
        town.books.change("payment", key, **fields[c % len(fields)])


@_act(ACCOUNTING)
def keep_catalogues(town: Town, a: int, b: int, c: int) -> None:
    """New, renamed, twice there, marked for deletion and back."""
    books = town.books
    kind = ("counterparty", "product", "contract")[a % 3]
    key = pick(list(books.all(kind)), b)
    match c % 4:
        case 0 if kind == "counterparty":
            books.add(kind, Code=f"Н{books.versions}", Description="Заря АО", НаименованиеПолное='АО "Заря"', ИНН=(inn(1), inn(2), "", inn(41))[b % 4], КПП="770101001", IsFolder=False)
        case 0 if kind == "product":
            books.add(kind, Code=f"Н{books.versions}", Артикул=("LM", "")[b % 2], Description=NAMES[b % 5], Услуга=False, IsFolder=False)
        case 1 if key:
            books.change(kind, key, Description=("Ромашка", "Коврик", "Основной договор")[b % 3])
        case 2 if key:
            books.change(kind, key, DeletionMark=True)
        case 3 if key:
            books.change(kind, key, DeletionMark=False, **({"ИНН": inn(2 + b % 2)} if kind == "counterparty" else {}))


@_act(ACCOUNTING)
def new_rate(town: Town, a: int, b: int, c: int) -> None:
    dollar = _currency(town.books, "840")
    day = DAYS[a % 4]
    town.books.save("currency_rate", f"{day}T00:00:00:{dollar}", {"Period": f"{day}T00:00:00", "Валюта_Key": dollar, "Курс": f"8{b}.{c}", "Кратность": "1"})


# ---- in the mapping files ---------------------------------------------------------------------


@_act(RULES)
def reword(town: Town, a: int, b: int, c: int) -> None:
    town.remap(sorted(REWORDINGS)[a % len(REWORDINGS)])


@_act(RULES)
def release(town: Town, a: int, b: int, c: int) -> None:
    """A person lets a held deal pass one check, or takes that back."""
    held = town.rows("select deal_id, check_name from documents.held order by held_id")
    if chosen := pick(held, a):
        town.warehouse.execute("insert into ops.release (deal_id, check_name, actor, reason) values (%s, %s, 'anna', 'known')", chosen)
    elif b % 2:
        town.warehouse.execute("update ops.release set revoked_at = now() where revoked_at is null")
