"""How the company came about: parties, price list, staff and 14 months of deals from one seed."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal

from sandbox.company import words
from sandbox.company.model import (
    GOODS,
    HISTORY_DAYS,
    LOST_STAGES,
    MOSCOW,
    SERVICES,
    STAGES,
    WON_STAGES,
    Company,
    Deal,
    DealLine,
    Dirt,
    Employee,
    Party,
    Product,
    main_vat_rate,
)

WON_SHARE, LOST_SHARE = 0.45, 0.25
SERVICE_SHARE = 0.22
MIN_CLIENTS, MAX_CLIENTS = 40, 5_000
OPEN_DEAL_DAYS = 100
"""An open deal is at most this old."""
MAX_BASKETS = 4_000
"""So many different baskets of one sort are drawn; a larger company sells the same ones again."""
TWO_PARTY_SHARE = 0.07
VAT_ON_TOP_SHARE = 0.15

HELD_DEAL_DIRT = (
    # kind, share of the deals that owe documents
    ("stage_without_rule", 0.010),
    ("amount_mismatch", 0.015),
    ("product_unknown", 0.008),
    ("lines_missing", 0.005),
    ("client_missing", 0.005),
)
OTHER_DEAL_DIRT = (("product_alias", 0.015), ("test_deal", 0.004), ("deleted", 0.006))
PARTY_DIRT = (
    # kind, share of the Russian parties, least number
    ("inn_without_zero", 0.02, 2),
    ("inn_checksum", 0.008, 1),
    ("inn_missing", 0.008, 1),
    ("name_typo", 0.03, 2),
    ("name_spelling", 0.25, 8),
    ("phone_spelling", 0.5, 10),
)
DUPLICATE_SHARE = 0.04


def found(seed: int, deals: int, today: date) -> Company:
    """The whole company as of today; see `Company.generate`."""
    company = Company(seed=seed, today=today, own=_own())
    rng = random.Random(f"{seed}:company")
    _hire(company)
    _list_products(company, rng)
    _meet_clients(company, rng, min(max(MIN_CLIENTS, deals // 4), MAX_CLIENTS))
    rng = random.Random(f"{seed}:deals")
    draw = DealDraw(company)
    for number in range(1, deals + 1):
        deal = draw.past(rng, number)
        company.deals[deal.id] = deal
    _soil(company, random.Random(f"{seed}:dirt"))
    return company


class DealDraw:
    """Draws deals of one company. Values that repeat are shared, so 200,000 deals fit in memory."""

    def __init__(self, company: Company, today: date | None = None) -> None:
        self._company = company
        self._today = today or company.today
        self._clients = list(company.clients.items())
        self._goods = [p for p in company.products.values() if not p.is_service]
        self._services = [p for p in company.products.values() if p.is_service]
        self._staff = list(company.employees)
        self._decimals: dict[str, Decimal] = {}
        self._lines: dict[DealLine, DealLine] = {}
        self._baskets: dict[tuple[str, bool, str, bool], list[tuple[DealLine, ...]]] = {}

    def past(self, rng: random.Random, number: int) -> Deal:
        """A deal of the history: won, lost, or open and not older than OPEN_DEAL_DAYS."""
        pipeline = SERVICES if rng.random() < SERVICE_SHARE else GOODS
        stages = STAGES[pipeline]
        today, fate = self._today, rng.random()
        closed: date | None = None
        if fate < WON_SHARE + LOST_SHARE:
            stage = stages[-2] if fate < WON_SHARE else stages[-1]
            begun = today - timedelta(days=int(rng.random() * (HISTORY_DAYS - 10)) + 5)
            closed = min(begun + timedelta(days=3 + int(rng.random() * 60)), today - timedelta(days=1))
        else:
            stage = stages[int(rng.random() * (len(stages) - 2))]
            begun = today - timedelta(days=int(rng.random() * OPEN_DEAL_DAYS) + 1)
        return self._deal(rng, number, pipeline, stage, begun, closed)

    def new(self, rng: random.Random, number: int) -> Deal:
        """A deal that came in today."""
        pipeline = SERVICES if rng.random() < SERVICE_SHARE else GOODS
        stage = STAGES[pipeline][0 if rng.random() < 0.6 else 1]
        return self._deal(rng, number, pipeline, stage, self._today, None)

    def line(self, rng: random.Random, party: Party, services: bool, currency: str, on: date) -> DealLine:
        """One deal line on a day's terms: export at 0 %, the VAT rate of the day otherwise."""
        products = self._services if services else self._goods
        product = products[int(rng.random() ** 1.6 * len(products))]
        rate = _vat_rate(product, party, on)
        on_top = rate > 0 and rng.random() < VAT_ON_TOP_SHARE
        price = float(product.price) * (1.0 if on.year >= 2026 else 0.95)
        if currency != "RUB":
            price = max(price / (80 if currency == "USD" else 95), 1.0)
        elif rate == 0 and product.vat_rate:
            price /= 1.22
        if on_top:
            price = price / (1 + rate / 100)
        step = 10 if price >= 100 else 1
        value = max(round(price / step) * step, 1)
        if on_top and value % 10:
            value = value // 10 * 10 + 10  # so that VAT of one unit is whole kopecks, whatever the discount
        discount = ("0", "0", "0", "0", "0", "5", "10", "15", "7", "3")[int(rng.random() * 10)]
        if on_top and discount in ("7", "3"):
            discount = "5"
        line = DealLine(
            product.id, self._quantity(rng, product, on_top), self._decimal(str(value)),
            self._decimal(discount), rate, not on_top,
        )  # fmt: skip
        return self._lines.setdefault(line, line)

    def _deal(
        self, rng: random.Random, number: int, pipeline: str, stage: str, begun: date, closed: date | None
    ) -> Deal:
        client_id, party_ids = self._clients[int(rng.random() ** 1.5 * len(self._clients))]
        party_id = party_ids[int(rng.random() * len(party_ids))]
        party = self._company.parties[party_id]
        currency = currency_of(party)
        on = closed or self._today
        services = pipeline == SERVICES
        lines = self._some_lines(rng, party, services, currency, on)
        product = self._company.products[lines[0].product_id].name
        second = int(rng.random() * 9 * 3600)
        hour, rest = divmod(second, 3600)
        return Deal(
            id=f"d{number}",
            title=f"{'Услуги' if services else 'Поставка'}: {product}, {party.name}",
            client_id=client_id,
            party_id=party_id,
            employee_id=self._staff[int(rng.random() * len(self._staff))],
            pipeline=pipeline,
            stage=stage,
            created_at=datetime(
                begun.year, begun.month, begun.day, 9 + hour, rest // 60, rest % 60, tzinfo=MOSCOW
            ),
            closed_on=closed,
            currency=currency,
            lines=lines,
            source_id=words.LEAD_SOURCES[int(rng.random() * len(words.LEAD_SOURCES))],
        )

    def _some_lines(
        self, rng: random.Random, party: Party, services: bool, currency: str, on: date
    ) -> tuple[DealLine, ...]:
        pool = self._baskets.setdefault((party.country, services, currency, on.year >= 2026), [])
        if len(pool) >= MAX_BASKETS:
            return pool[int(rng.random() * MAX_BASKETS)]
        count = 1 + int(rng.random() ** 2 * (3 if services else 5))
        pool.append(tuple(self.line(rng, party, services, currency, on) for _ in range(count)))
        return pool[-1]

    def _quantity(self, rng: random.Random, product: Product, whole: bool) -> Decimal:
        if product.price > 20_000:
            return self._decimal(str(1 + int(rng.random() * 3)))
        if product.unit == "м":
            metres = 10 + int(rng.random() * 60) * 5
            return self._decimal(f"{metres}.5" if rng.random() < 0.2 and not whole else str(metres))
        if product.unit == "час":
            hours = 1 + int(rng.random() * 40)
            return self._decimal(f"{hours}.5" if rng.random() < 0.3 and not whole else str(hours))
        return self._decimal(str(1 + int(rng.random() ** 2 * 120)))

    def _decimal(self, text: str) -> Decimal:
        return self._decimals.setdefault(text, Decimal(text))


def currency_of(party: Party) -> str:
    """The currency a party is billed in."""
    return _CURRENCIES.get(party.country, "RUB")


_CURRENCIES = {country: currency for country, *_, currency in words.FOREIGN}


def _vat_rate(product: Product, party: Party, on: date) -> int:
    if party.country != "RU" or product.vat_rate == 0:
        return 0
    return main_vat_rate(on) if product.vat_rate == 22 else product.vat_rate


def _own() -> Party:
    office = "2901"
    return Party(
        "own", "ООО Торговый дом «Северный свет»", "ООО", words.inn10(office, 25817), words.kpp(office),
        words.ogrn(office, 2014, 1187), "RU", "+78182200300", "info@sevsvet.example", "Архангельск",
        "163000, Архангельская обл., г. Архангельск, ул. Поморская, д. 34", True,
    )  # fmt: skip


def _hire(company: Company) -> None:
    staff = (
        ("Ольга", "Лебедева"), ("Игорь", "Соколов"), ("Марина", "Орлова"), ("Денис", "Захаров"),
        ("Светлана", "Фёдорова"), ("Павел", "Никитин"), ("Анна", "Макарова"),
    )  # fmt: skip
    for number, (first, last) in enumerate(staff, start=1):
        key = f"e{number}"
        email = f"manager{number}@sevsvet.example"
        company.employees[key] = Employee(key, first, last, email, active=number != len(staff))


def _list_products(company: Company, rng: random.Random) -> None:
    for services, rows in ((False, words.GOODS_LIST), (True, words.SERVICES_LIST)):
        for number, (code, name, unit, okei, price, rate, accounting) in enumerate(rows, start=1):
            key = f"{'s' if services else 'g'}{number}"
            known = rng.random() < 0.85 or bool(accounting)
            company.products[key] = Product(
                key, code, name, unit, okei, Decimal(price), rate, services, known, accounting or name
            )


def _meet_clients(company: Company, rng: random.Random, count: int) -> None:
    number = 0
    for client in range(1, count + 1):
        parties = [_party(rng, number := number + 1, client)]
        if parties[0].country == "RU" and rng.random() < TWO_PARTY_SHARE:
            other = _party(rng, number := number + 1, 0)
            parties.append(_branch(parties[0], number) if rng.random() < 0.35 else other)
        for party in parties:
            company.parties[party.id] = party
        company.clients[f"c{client}"] = tuple(p.id for p in parties)


def _party(rng: random.Random, number: int, client: int) -> Party:
    if client and client % 17 == 0 and client // 17 <= len(words.FOREIGN):
        return _foreign(number, words.FOREIGN[client // 17 - 1])
    cities = words.LEADING_ZERO_CITIES if rng.random() < 0.08 else words.CITIES
    office, city, street = cities[int(rng.random() * len(cities))]
    year, house = 2003 + int(rng.random() * 21), 1 + int(rng.random() * 90)
    phone = f"+7{(495, 812, 343, 383, 843)[number % 5]}{2000000 + number * 7919 % 7000000:07d}"
    draw = rng.random()
    if draw < 0.12:
        surname, first, middle = words.person_name(rng)
        inn, form, name = words.inn12(office, 100000 + number), "ИП", f"ИП {surname} {first} {middle}"
        registered, kpp = words.ogrnip(office, year, number), ""
    else:
        form = "АО" if draw < 0.2 else "ООО"
        name = f"{form} «{words.organization_name(number)}»"
        inn, kpp = words.inn10(office, 10000 + number), words.kpp(office)
        registered = words.ogrn(office, year, number)
    return Party(
        f"p{number}", name, form, inn, kpp, registered, "RU", phone, f"office{number}@client.example", city,
        street.format(house), rng.random() < 0.6,
    )  # fmt: skip


def _foreign(number: int, row: tuple[str, str, str, str, str, str]) -> Party:
    country, form, name, city, address, _ = row
    return Party(
        f"p{number}", name, form, "", "", "", country, words.FOREIGN_PHONES[country], f"office{number}@abroad.example", city,
        address.format(number), number % 2 == 0,
    )  # fmt: skip


def _branch(head: Party, number: int) -> Party:
    """A branch: the head's INN with a KPP of its own."""
    if head.legal_form == "ИП":
        surname, first, middle = words.SURNAMES[number % 25], words.FIRST_NAMES[number % 15], "Сергеевич"
        inn = words.inn12(head.inn[:4], 500000 + number)
        name, kpp = f"ИП {surname} {first} {middle}", ""
    else:
        inn, name, kpp = head.inn, f"{head.name} филиал", words.kpp("7810", "43", 1 + number % 900)
    return Party(
        f"p{number}", name, head.legal_form, inn, kpp, head.ogrn, "RU", head.phone, head.email, head.city,
        head.address, False,
    )  # fmt: skip


def _soil(company: Company, rng: random.Random) -> None:
    """Choose what the projections will show wrongly."""
    taken = _soil_parties(company, rng)
    owing = [d for d in company.deals.values() if d.stage not in LOST_STAGES and d.party_id not in taken]
    closed = [d for d in owing if d.stage in WON_STAGES] or owing
    rng.shuffle(owing)
    for kind, share in HELD_DEAL_DIRT + OTHER_DEAL_DIRT:
        for _ in range(min(max(round(share * len(company.deals)), 1), len(owing))):
            deal = owing.pop()
            company.dirt.append(Dirt(kind, "deal", deal.id, _note(rng, kind, deal)))
    left = {d.id for d in owing}
    for client, parties in company.clients.items():
        mine = [d for d in closed if d.client_id == client and d.id in left] if len(parties) > 1 else []
        if mine:
            company.dirt.append(Dirt("requisite_ambiguous", "deal", mine[0].id, "no requisite chosen"))
            break


def _note(rng: random.Random, kind: str, deal: Deal) -> str:
    if kind == "amount_mismatch":
        return ("500", "-1000", "0.40", "12000", "-37.15")[int(rng.random() * 5)]
    if kind == "product_unknown":
        return words.UNKNOWN_PRODUCTS[int(rng.random() * len(words.UNKNOWN_PRODUCTS))]
    if kind == "stage_without_rule":
        return "UC_7T1QXK" if deal.pipeline == GOODS else "C1:UC_M2P0ZD"
    return ""


def _soil_parties(company: Company, rng: random.Random) -> set[str]:
    single = {ids[0]: client for client, ids in company.clients.items() if len(ids) == 1}
    russian = [company.parties[key] for key in single if company.parties[key].country == "RU"]
    rng.shuffle(russian)
    zeros = [p for p in russian if p.inn.startswith("0")]
    held: set[str] = set()
    for kind, share, least in PARTY_DIRT:
        source = zeros if kind == "inn_without_zero" else [p for p in russian if p.id not in held]
        for party in source[: max(round(share * len(russian)), least)]:
            company.dirt.append(Dirt(kind, "party", party.id, str(int(rng.random() * 1000))))
            if kind.startswith("inn_"):
                held.add(party.id)
    free = [p for p in russian if p.id not in held]
    for party in free[-max(round(DUPLICATE_SHARE * len(russian)), 2) :]:
        company.dirt.append(Dirt("duplicate_company", "client", single[party.id], party.id))
    return held
