"""The desk as founded: the company's truth with the dirt that sales people make of it, in neutral words.

    employee   first_name last_name email active
    pipeline   code name sort
    stage      pipeline code name sort outcome(open|won|lost)
    source     code name                      campaign   name source starts_on budget currency
    product    code name unit okei price currency vat_rate is_service active
    price_list name currency                  price      product price_list price currency
    client     name legal_name inn kpp ogrn vat_id country phone email city address employee
    requisite  client name inn kpp ogrn vat_id country sole legal_address         (with `Traits.requisites`)
    contact    client first_name middle_name last_name post phone email
    deal       title client requisite contact employee pipeline stage amount currency begun_on closed_on source
               campaign payment_status shipment_status debt
    line       deal product(None for free text) name quantity price discount vat_rate vat_included sort
    invoice    number deal client requisite issued_on due_on amount currency status(draft|sent|paid)
    task       deal employee text due_on key
    call       deal employee text direction(in|out) at done          (with `Traits.activities`; so letter, meeting)
    letter     deal employee text direction at done                  meeting    deal employee text at done

References are numbers of the other entity. With `Traits.requisites` a client's inn, kpp and ogrn are those of
its first legal entity, and '' for a vendor that keeps them apart; without it every legal entity is a client.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sandbox import dirt
from sandbox.company.days import Event
from sandbox.company.model import (
    INVOICE_STAGES,
    LOST_STAGES,
    STAGES,
    WON_STAGES,
    Company,
    Deal,
    DealLine,
    Party,
    line_amounts,
)
from sandbox.company.words import LEAD_SOURCES, person_name

if TYPE_CHECKING:
    from sandbox.desk.records import Body, Desk

Found = tuple[str, int, "Body", datetime, datetime]

DUPLICATE: Final = 1_000_000
"""Distance between the numbers of a client and of its duplicate."""
LINES_A_DEAL: Final = 10
SECOND_PORTAL: Final = 3
"""The second portal of a vendor shows every third client's deals, under the numbers that the first gave."""
STAGE_NAMES: Final = {
    "NEW": "Новая заявка", "PREPARATION": "Подготовка документов", "PREPAYMENT_INVOICE": "Счёт на предоплату",
    "EXECUTING": "В работе", "FINAL_INVOICE": "Отгрузка", "WON": "Сделка успешна", "LOSE": "Сделка провалена",
    "C1:NEW": "Новый запрос", "C1:EXECUTING": "Оказание услуг", "C1:WON": "Услуги оказаны", "C1:LOSE": "Отказ",
}  # fmt: skip
PIPELINE_NAMES: Final = {"0": "Продажа товаров", "1": "Услуги"}
SOURCE_NAMES: Final = {
    "CALL": "Звонок", "EMAIL": "Электронная почта", "WEB": "Веб-сайт", "ADVERTISING": "Реклама",
    "PARTNER": "Партнёр", "RECOMMENDATION": "По рекомендации", "TRADE_SHOW": "Выставка",
}  # fmt: skip
EXTRA_STAGES: Final = (("UC_7T1QXK", "0", "Ждём тендер"), ("C1:UC_M2P0ZD", "1", "Пауза"))
"""Stages that somebody made by hand and no rule knows."""
CAMPAIGNS: Final = (
    ("Яндекс Директ: кабель", "ADVERTISING", "120000"),
    ("Выставка «Электро»", "TRADE_SHOW", "450000"),
    ("Рассылка по базе", "EMAIL", "15000"),
)


def found(desk: Desk) -> Iterator[Found]:
    """Every record of the founded desk: entity, number, body, created, modified."""
    company = desk.company
    old = desk.founded - timedelta(days=40)
    for entity, rows in _dictionaries(company):
        for number, body in enumerate(rows, start=1):
            yield entity, number, body, dirt.FIRST_STAMP, old
    for client in company.clients:
        if _is_shown(desk, client):
            yield from _client(desk, client)
    for deal in company.deals.values():
        if _is_shown(desk, deal.client_id):
            yield from _deal(desk, deal)
            if desk.traits.activities and "deleted" not in company.dirt_of("deal", deal.id):
                yield from _activities(desk, deal)


def show(desk: Desk, events: list[Event]) -> None:
    """Show what the company's days brought; see `sandbox.company.days`."""
    company = desk.company
    for event in events:
        if event.entity == "deal":
            deal = company.deals[event.id]
            if _is_shown(desk, deal.client_id):
                is_new = deal_number(deal) not in desk.tables["deal"]
                _lay(
                    desk,
                    {(e, n): b for e, n, b, *_ in _deal(desk, deal)},
                    "deal",
                    deal_number(deal),
                    touch=event.seen,
                )
                for entity, number, body, *_ in _activities(desk, deal) if is_new else ():
                    desk.add(entity, body, number=number)
        else:
            for client in [c for c, parties in company.clients.items() if event.id in (c, *parties)]:
                if _is_shown(desk, client):
                    _show_client(desk, client, event)


def _show_client(desk: Desk, client: str, event: Event) -> None:
    if event.kind == "merged":
        for party in _parties(desk, client):
            number = client_number(desk, client, party)
            if desk.get("client", number + DUPLICATE) is not None:
                desk.merge("client", number, number + DUPLICATE)
    rows = {(entity, number): body for entity, number, body, *_ in _client(desk, client)}
    for (entity, number), body in rows.items():
        known = desk.get(entity, number)
        if known is None and number not in desk.tables[entity]:
            desk.add(entity, body, number=number)
        elif known is not None and known.body != body:
            desk.put(entity, number, body)


def _lay(desk: Desk, rows: dict[tuple[str, int], Body], root: str, number: int, *, touch: bool) -> None:
    """Bring a record and its children to what they are now; absent ones are deleted."""
    body = rows.get((root, number))
    if body is None:
        if desk.get(root, number) is not None:
            desk.remove(root, number)
        return
    for (entity, at), said in rows.items():
        known = desk.get(entity, at)
        if known is None:
            desk.add(entity, said, number=at)
        elif known.body != said:
            desk.put(entity, at, said, touch=touch)
    for child in list(desk.children("line", number)):
        if ("line", child.number) not in rows:
            desk.remove("line", child.number)


def deal_number(deal: Deal) -> int:
    return dirt.number_of(deal.id)


def client_number(desk: Desk, client: str, party: Party) -> int:
    """Of the client; where every legal entity is one, of the entity."""
    return dirt.number_of(client if desk.traits.requisites else party.id)


def _is_shown(desk: Desk, client: str) -> bool:
    return desk.portal == 1 or dirt.number_of(client) % SECOND_PORTAL == 0


def _dictionaries(company: Company) -> Iterator[tuple[str, list[Body]]]:
    yield (
        "employee",
        [
            {"first_name": e.first_name, "last_name": e.last_name, "email": e.email, "active": e.active}
            for e in company.employees.values()
        ],
    )
    yield (
        "pipeline",
        [
            {"code": code, "name": PIPELINE_NAMES[code], "sort": place * 10}
            for place, code in enumerate(STAGES, start=1)
        ],
    )
    stages = [(stage, pipeline, STAGE_NAMES[stage]) for pipeline in STAGES for stage in STAGES[pipeline]]
    yield "stage", [
        {"pipeline": list(STAGES).index(pipeline) + 1, "code": code, "name": name, "sort": place * 10,
         "outcome": "won" if code in WON_STAGES else "lost" if code in LOST_STAGES else "open"}
        for place, (code, pipeline, name) in enumerate([*stages, *EXTRA_STAGES], start=1)
    ]  # fmt: skip
    yield "source", [{"code": code, "name": SOURCE_NAMES[code]} for code in LEAD_SOURCES]
    yield "campaign", [
        {"name": name, "source": LEAD_SOURCES.index(source) + 1, "starts_on": date(2026, 1, 12),
         "budget": Decimal(budget), "currency": "RUB"}
        for name, source, budget in CAMPAIGNS
    ]  # fmt: skip
    products = list(company.products.values())
    yield "product", [
        {"code": p.code, "name": p.name, "unit": p.unit, "okei": p.okei, "price": p.price, "currency": "RUB",
         "vat_rate": p.vat_rate, "is_service": p.is_service, "active": True}
        for p in products
    ]  # fmt: skip
    yield (
        "price_list",
        [{"name": "Розничные цены", "currency": "RUB"}, {"name": "Оптовые цены", "currency": "RUB"}],
    )
    yield "price", [
        {"product": number, "price_list": level, "currency": "RUB",
         "price": p.price if level == 1 else (p.price * 9 / 10).quantize(Decimal("0.01"))}
        for level in (1, 2)
        for number, p in enumerate(products, start=1)
    ]  # fmt: skip


def product_number(company: Company, product: str) -> int:
    return list(company.products).index(product) + 1


def _parties(desk: Desk, client: str) -> list[Party]:
    """Whom this CRM shows as clients: the first legal entity for all, else each by itself."""
    parties = [desk.company.parties[key] for key in desk.company.clients[client]]
    return parties[:1] if desk.traits.requisites else parties


def _client(desk: Desk, client: str) -> Iterator[Found]:
    company = desk.company
    doubled = "duplicate_company" in company.dirt_of("client", client)
    created = dirt.FIRST_STAMP + timedelta(hours=dirt.number_of(client) % 2000)
    days = dirt.number_of(client) * 37 % 380
    changed = max(created, desk.founded - timedelta(days=2 + days, seconds=dirt.number_of(client) * 13))
    for place, party in enumerate(_parties(desk, client)):
        number = client_number(desk, client, party)
        yield "client", number, _client_body(desk, client, party, duplicate=False), created, changed
        if doubled and place == 0:
            body = _client_body(desk, client, party, duplicate=True)
            yield "client", number + DUPLICATE, body, created, changed
        if place == 0:
            yield (
                "contact",
                dirt.number_of(client),
                _contact_body(desk, client, party, number),
                created,
                changed,
            )
    if desk.traits.requisites:
        for key in company.clients[client]:
            party = company.parties[key]
            body = _requisite_body(company, party, dirt.number_of(client))
            yield "requisite", dirt.number_of(key), body, created, changed
        if doubled:
            party = company.parties[company.clients[client][0]]
            body = _requisite_body(company, party, dirt.number_of(client) + DUPLICATE)
            yield "requisite", dirt.number_of(party.id) + DUPLICATE, body, created, changed


def _client_body(desk: Desk, client: str, party: Party, *, duplicate: bool) -> Body:
    company = desk.company
    spoiled = company.dirt_of("party", party.id)
    phone = party.phone
    if duplicate:
        phone = dirt.spelled_phone(phone, 1)
    elif "phone_spelling" in spoiled:
        phone = dirt.spelled_phone(phone, int(spoiled["phone_spelling"]))
    return {
        "name": dirt.shown_title(party, spoiled, duplicate),
        "legal_name": dirt.spelled_name(party, 2),
        **_tax_numbers(party, spoiled),
        "country": party.country,
        "phone": phone,
        "email": party.email,
        "city": party.city,
        "address": dirt.spelled_address(party, f"{desk.name} duplicate" if duplicate else desk.name),
        "employee": dirt.number_of(client) % len(company.employees) + 1,
    }


def _tax_numbers(party: Party, spoiled: dict[str, str]) -> dict[str, str]:
    number = dirt.number_of(party.id)
    abroad = {"DE": f"DE{900000000 + number}", "KZ": dirt.kazakh_number(number)}
    return {
        "inn": dirt.shown_inn(party, spoiled) if party.inn else "",
        "kpp": party.kpp,
        "ogrn": party.ogrn,
        "vat_id": abroad.get(party.country, ""),
    }


def _requisite_body(company: Company, party: Party, client: int) -> Body:
    spoiled = company.dirt_of("party", party.id)
    return {
        "client": client,
        "name": dirt.spelled_name(party, 2),
        **_tax_numbers(party, spoiled),
        "country": party.country,
        "sole": party.legal_form == "ИП",
        "legal_address": dirt.spelled_address(party, "register"),
    }


def _contact_body(desk: Desk, client: str, party: Party, number: int) -> Body:
    rng = random.Random(f"{desk.company.seed}:contact:{client}")
    last, first, middle = person_name(rng)
    place = dirt.number_of(client)
    return {
        "client": number,
        "first_name": first,
        "middle_name": middle,
        "last_name": last,
        "post": "Директор",
        "phone": dirt.spelled_phone(f"+79{rng.randrange(10**8, 10**9)}", rng.randrange(6)),
        "email": party.email.upper() if place % 4 == 0 else party.email,
    }


def _deal(desk: Desk, deal: Deal) -> Iterator[Found]:
    company = desk.company
    spoiled = company.dirt_of("deal", deal.id)
    if "deleted" in spoiled:
        return
    number = deal_number(deal)
    stage = spoiled.get("stage_without_rule", deal.stage)
    stages = [s for pipeline in STAGES for s in STAGES[pipeline]] + [code for code, *_ in EXTRA_STAGES]
    lines = () if "lines_missing" in spoiled else _sold(desk, deal)
    amount = sum((line_amounts(line).gross for line in _sold(desk, deal)), Decimal(0))
    client, requisite = _owner(desk, deal)
    nameless = "client_missing" in spoiled
    created, changed = deal.created_at, dirt.touched_at(deal, desk.founded)
    body: dict[str, Any] = {
        "title": f"ТЕСТ {deal.title}" if "test_deal" in spoiled else deal.title,
        "client": None if nameless else client,
        "requisite": None if nameless or "requisite_ambiguous" in spoiled else requisite,
        "contact": None if nameless else dirt.number_of(deal.client_id),
        "employee": dirt.number_of(deal.employee_id),
        "pipeline": list(STAGES).index(deal.pipeline) + 1,
        "stage": stages.index(stage) + 1,
        "amount": amount + Decimal(spoiled.get("amount_mismatch", "0")),
        "currency": deal.currency,
        "begun_on": deal.created_at.date(),
        "closed_on": deal.closed_on,
        "source": LEAD_SOURCES.index(deal.source_id) + 1,
        "campaign": next(
            (n for n, c in enumerate(CAMPAIGNS, start=1) if c[1] == deal.source_id and number % 2), None
        ),
        "payment_status": "",
        "shipment_status": "",
        "debt": None,
    }
    yield "deal", number, body, created, changed
    if stage in INVOICE_STAGES and not nameless:
        issued = deal.closed_on or deal.created_at.date()
        yield "invoice", number, {
            "number": f"К-{number:05d}", "deal": number, "client": client, "requisite": requisite,
            "issued_on": issued, "due_on": issued + timedelta(days=10), "amount": body["amount"],
            "currency": deal.currency, "status": "paid" if number % 3 == 0 else "sent",
        }, created, changed  # fmt: skip
    for place, line in enumerate(lines):
        yield "line", number * LINES_A_DEAL + place, _line_body(desk, deal, line, place), created, changed


def _activities(desk: Desk, deal: Deal) -> Iterator[Found]:
    """A call about every deal, a letter the day after, every other is met. What begins after the founding is planned."""
    number = deal_number(deal)
    said = [
        (
            "call",
            timedelta(hours=1),
            {"text": f"Звонок: {deal.title}", "direction": "out" if number % 3 else "in"},
        ),
        (
            "letter",
            timedelta(days=1),
            {"text": f"Re: {deal.title}", "direction": "in" if number % 3 else "out"},
        ),
        ("meeting", timedelta(days=3), {"text": f"Встреча: {deal.title}"}),
    ]
    for place, (entity, after, more) in enumerate(said):
        if entity not in desk.traits.activities or (entity == "meeting" and number % 2 == 0):
            continue
        at = deal.created_at + after
        done = at < desk.founded
        body = {"deal": number, "employee": dirt.number_of(deal.employee_id), "at": at, "done": done, **more}
        yield entity, number * LINES_A_DEAL + place, body, deal.created_at, at if done else deal.created_at


def _sold(desk: Desk, deal: Deal) -> tuple[DealLine, ...]:
    """The deal's lines, at the list's prices where this CRM knows no others."""
    if not desk.traits.list_prices:
        return deal.lines
    products = desk.company.products
    return tuple(
        replace(line, price=products[line.product_id].price, discount_percent=Decimal(0), vat_included=True)
        for line in deal.lines
    )


def _owner(desk: Desk, deal: Deal) -> tuple[int, int | None]:
    """The client under which the deal stands, and its legal entity where those are apart."""
    company = desk.company
    party = company.parties[deal.party_id]
    number = client_number(desk, deal.client_id, party)
    first = deal.party_id == company.clients[deal.client_id][0]
    doubled = dirt.uses_duplicate(company, deal) and first
    if not desk.traits.requisites:
        return number + (DUPLICATE if doubled else 0), None
    return number + (DUPLICATE if doubled else 0), dirt.number_of(party.id) + (DUPLICATE if doubled else 0)


def _line_body(desk: Desk, deal: Deal, line: DealLine, place: int) -> Body:
    company = desk.company
    product = company.products[line.product_id]
    spoiled = company.dirt_of("deal", deal.id)
    known: int | None = product_number(company, line.product_id)
    name = product.name
    if desk.traits.list_prices:  # what is not in the catalogue cannot be sold
        spoiled = {}
    if place == 0 and "product_unknown" in spoiled:
        known, name = None, spoiled["product_unknown"]
    elif place == 0 and "product_alias" in spoiled:
        known, name = None, dirt.alias_of(company, line.product_id)
    return {
        "deal": deal_number(deal),
        "product": known,
        "name": name,
        "quantity": line.quantity,
        "price": line.price,
        "discount": line.discount_percent,
        "vat_rate": line.vat_rate,
        "vat_included": line.vat_included,
        "sort": (place + 1) * 10,
    }
