"""What people do in the CRM and in the branch's sheets."""

from __future__ import annotations

from decimal import Decimal

from resources.connector import Reject
from tests.laws.act import BRANCH, CRM, DAYS, NAMES, PRICES, STAGES, act, pick
from tests.laws.portal import Portal
from tests.laws.town import Town, add_company, add_deal, add_requisite, inn

# ---- in the CRM -------------------------------------------------------------------------------


def deal_of(portal: Portal, number: int) -> str | None:
    return pick(list(portal.all("deal")), number)


def _company(portal: Portal, number: int) -> str | None:
    return pick(list(portal.all("company")), number)


@act(CRM)
def new_deal(town: Town, a: int, b: int, c: int) -> None:
    company = _company(town.portal, a)
    if company:
        add_deal(
            town.portal,
            company,
            STAGES[b % len(STAGES)],
            "USD" if c == 9 else "RUB",
            lines=c % 4,
            price=PRICES[c % 5],
        )


@act(CRM)
def new_company(town: Town, a: int, b: int, c: int) -> None:
    """With the INN of another now and then, or none, or a broken one."""
    number = {0: inn(1), 1: "", 2: "7701"}.get(b % 6)
    add_company(town.portal, 30 + a, ("Вектор", "Заря", "Ромашка")[c % 3], number)


@act(CRM)
def move_stage(town: Town, a: int, b: int, c: int) -> None:
    if deal := deal_of(town.portal, a):
        stage = STAGES[b % len(STAGES)]
        town.portal.change("deal", deal, stageId=stage, categoryId="1" if stage.startswith("C1:") else "0")


@act(CRM)
def edit_line(town: Town, a: int, b: int, c: int) -> None:
    if (deal := deal_of(town.portal, a)) and (line := pick(list(town.portal.lines(deal)), b)):
        town.portal.put_line(
            deal, line, price=PRICES[c % 5], quantity=1 + b % 3, taxRate=(22, 10, 0, None)[c % 4]
        )


@act(CRM)
def add_line(town: Town, a: int, b: int, c: int) -> None:
    """Of the catalogue, or by a name alone."""
    if deal := deal_of(town.portal, a):
        linked = {"productId": 11 + b % 4} if c % 2 else {"productId": 0}
        town.portal.put_line(
            deal,
            town.portal.number(),
            **linked,
            productName=NAMES[b % len(NAMES)],
            price=PRICES[c % 5],
            quantity=2,
            taxRate=22,
            measureName=("шт", None, "пучок")[c % 3],
            sort=b,
        )


@act(CRM)
def remove_line(town: Town, a: int, b: int, c: int) -> None:
    if (deal := deal_of(town.portal, a)) and (line := pick(list(town.portal.lines(deal)), b)):
        town.portal.drop("deal_line", line)
        town.portal.sum_up(deal)


@act(CRM)
def delete_deal(town: Town, a: int, b: int, c: int) -> None:
    if deal := deal_of(town.portal, a):
        for line in town.portal.lines(deal):
            town.portal.drop("deal_line", line)
        if deal in town.portal.all("deal_requisite"):
            town.portal.drop("deal_requisite", deal)
        town.portal.drop("deal", deal)


@act(CRM)
def restore_deal(town: Town, a: int, b: int, c: int) -> None:
    """Out of the bin, with the stamp that it had."""
    portal = town.portal
    gone = [key for entity, key in portal.bin if entity == "deal" and key not in portal.all("deal")]
    if deal := pick(gone, a):
        portal.rows["deal"][deal] = portal.bin["deal", deal]
        for (entity, key), row in list(portal.bin.items()):
            if entity == "deal_line" and row["ownerId"] == int(deal) and b % 2 == 0:
                portal.rows["deal_line"][key] = row


@act(CRM)
def give_deal(town: Town, a: int, b: int, c: int) -> None:
    """Another client, nobody, another manager, another day."""
    if deal := deal_of(town.portal, a):
        company = _company(town.portal, b)
        fields = (
            {"companyId": int(company or 0)},
            {"companyId": 0},
            {"assignedById": 2},
            {"closedate": f"{DAYS[b % 4]}T03:00:00+03:00"},
            {"currencyId": "USD"},
            {"currencyId": "RUB"},
            {"currencyId": "XXX"},
            {"title": f"ТЕСТ {b}"},
            {"title": f"Сделка {b}"},
        )
        town.portal.change("deal", deal, **fields[c % len(fields)])


@act(CRM)
def misstate_amount(town: Town, a: int, b: int, c: int) -> None:
    if deal := deal_of(town.portal, a):
        town.portal.change(
            "deal", deal, opportunity=(None, Decimal("1.00"), "много", town.portal.total(deal))[b % 4]
        )


@act(CRM)
def name_requisite(town: Town, a: int, b: int, c: int) -> None:
    """Say in the deal which details sign, or no longer."""
    portal = town.portal
    if deal := deal_of(portal, a):
        requisite = pick(list(portal.all("requisite")), b)
        if c % 3 == 0 and deal in portal.all("deal_requisite"):
            portal.drop("deal_requisite", deal)
        elif requisite:
            portal.put(
                "deal_requisite", deal, {"ENTITY_ID": deal, "ENTITY_TYPE_ID": 2, "REQUISITE_ID": requisite}
            )
        portal.change("deal", deal)


@act(CRM)
def edit_requisite(town: Town, a: int, b: int, c: int) -> None:
    if requisite := pick(list(town.portal.all("requisite")), a):
        fields = (
            {"RQ_INN": inn(40 + b)},
            {"RQ_INN": inn(1)},
            {"RQ_INN": ""},
            {"RQ_INN": "123"},
            {"RQ_KPP": f"77010{b:04d}"},
            {"RQ_KPP": ""},
            {"ACTIVE": "N"},
            {"ACTIVE": "Y"},
            {"RQ_COMPANY_NAME": 'ООО "Прочие"'},
            {"RQ_COMPANY_NAME": 'АО "Заря"'},
        )
        town.portal.change("requisite", requisite, **fields[c % len(fields)])


@act(CRM)
def more_requisites(town: Town, a: int, b: int, c: int) -> None:
    if company := _company(town.portal, a):
        add_requisite(town.portal, company, "Вторая", inn(60 + b) if c % 3 else "")


@act(CRM)
def drop_requisite(town: Town, a: int, b: int, c: int) -> None:
    if requisite := pick(list(town.portal.all("requisite")), a):
        town.portal.drop("requisite", requisite)


@act(CRM)
def edit_company(town: Town, a: int, b: int, c: int) -> None:
    if company := _company(town.portal, a):
        fields = (
            {"title": f'ООО "Новая {b}"'},
            {"isMyCompany": "Y"},
            {"isMyCompany": "N"},
            {"assignedById": 2},
        )
        town.portal.change("company", company, **fields[c % len(fields)])


@act(CRM)
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


@act(CRM)
def edit_product(town: Town, a: int, b: int, c: int) -> None:
    portal = town.portal
    if product := pick(list(portal.all("product")), a):
        fields = (
            {"name": NAMES[b % 5]},
            {"code": ("ST-1", "LM", "", "N-1")[b % 4], "xmlId": ""},
            {"type": (1, 7)[b % 2]},
            {"measure": (5, 9, 2)[b % 3]},
        )
        portal.change("product", product, **fields[c % 4])


@act(CRM)
def drop_product(town: Town, a: int, b: int, c: int) -> None:
    """And back: a deleted one returns under its id."""
    portal = town.portal
    gone = [key for entity, key in portal.bin if entity == "product" and key not in portal.all("product")]
    if gone and c % 2:
        portal.put("product", gone[0], portal.bin["product", gone[0]])
    elif product := pick(list(portal.all("product")), a):
        portal.drop("product", product)


@act(CRM)
def new_product(town: Town, a: int, b: int, c: int) -> None:
    key = str(5 + a) if c % 2 else town.portal.number()  # ids may lie below those that are known
    town.portal.put(
        "product",
        key,
        {
            "id": int(key),
            "iblockId": 1,
            "name": NAMES[b % 5],
            "code": "",
            "xmlId": "",
            "measure": 5,
            "type": 1,
            "vatId": 1,
            "active": "Y",
        },
    )


@act(CRM)
def rename(town: Town, a: int, b: int, c: int) -> None:
    """An employee or a stage."""
    if c % 2:
        town.portal.change("employee", "12"[a % 2], LAST_NAME=f"Ли{b}")
    elif stage := pick(list(town.portal.all("stage")), a):
        town.portal.change("stage", stage, NAME=f"Стадия {b}", SEMANTICS=("S", "F", None)[b % 3])


@act(CRM)
def deliver_badly(town: Town, a: int, b: int, c: int) -> None:
    town.portal.delivery.seed = a * 100 + b * 10 + c
    town.sheets.delivery.seed = a * 100 + b * 10 + c


@act(CRM)
def touch(town: Town, a: int, b: int, c: int) -> None:
    """Saved anew, nothing changed but the stamp."""
    for entity in ("deal", "company", "requisite", "product"):
        if key := pick(list(town.portal.all(entity)), a):
            town.portal.change(entity, key)


@act(CRM)
def send_rubbish(town: Town, a: int, b: int, c: int) -> None:
    town.portal.rejects = (
        [("deal", Reject(f"deal list, row {a}", "a row without an id", b"{}"))] if b % 2 else []
    )


@act(CRM)
def wait(town: Town, a: int, b: int, c: int) -> None:
    """Long enough for the next read's window to begin after what was read before."""
    town.portal.tick(120 * (1 + a))


# ---- in the branch's sheets -------------------------------------------------------------------


@act(BRANCH)
def sell(town: Town, a: int, b: int, c: int) -> None:
    key = f"Б-{1 + a % 3}/{NAMES[b % 3]}"
    number = (inn(1), inn(9), "", "123")[c % 4]
    town.sheets.now = town.portal.tick()
    town.sheets.put(
        "sale",
        key,
        {
            "№ сделки": f"Б-{1 + a % 3}",
            "Товар": NAMES[b % 3],
            "Клиент": ("Ромашка ООО", "Сосна", "ИП Петров")[c % 3],
            "ИНН": number,
            "КПП": "",
            "Кол-во": "3",
            "Цена": PRICES[c % 5].replace(".", ","),
            "Стадия": ("Новая", "Счёт выставлен", "Отгружено", "Отказ")[b % 4],
            "Валюта": "RUB",
            "Дата закрытия": "05.03.2026",
            "Менеджер": ("Орлова", "Ким")[a % 2],
            "Ставка НДС": "22%",
            "Сумма": f"{Decimal(PRICES[c % 5]) * 3:.2f}".replace(".", ","),
        },
    )


@act(BRANCH)
def resend(town: Town, a: int, b: int, c: int) -> None:
    """The same row in a newer file."""
    if key := pick(list(town.sheets.all("sale")), a):
        town.sheets.now = town.portal.tick()
        town.sheets.put("sale", key, town.sheets.rows["sale"][key])
