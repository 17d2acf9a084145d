"""Russian clients whose truth is known: real companies of the tax service's open data, as CRMs would hold them.

The names, INNs, regions and most cities are real (`ru_companies` of the shared data); what open data lack is made by
the seed, valid in form: KPPs of branches, phones, e-mails, addresses, contacts. Beside the real companies stand
made ones that make telling apart hard: twins of one name, sister companies of a holding behind one switchboard,
sole traders who own a company too, people who buy for themselves.

One client is one legal entity with all its branches, one sole trader, or one person.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

from stdnum.ru import inn as inn_numbers

from benchmarks import identity_dirt as dirt
from pipelines.core.legal_name import FORMS, legal_name, legal_name_key

# Of the real companies
TWINS: Final = 0.01  # have a namesake that the seed makes, half of them in the same city: of 644 real ones 6 have one there
SISTERS: Final = 0.03  # head a holding with 1 to 3 made sister companies
SOLE_TRADERS: Final = 0.12  # so many sole traders beside them
OWNERS: Final = 0.25  # of the sole traders own one of the companies too: one phone, one contact
PEOPLE: Final = 0.05  # so many people who buy for themselves
BRANCHES: Final = 0.08  # have 1 to 3 branches with KPPs of their own
OUTSOURCED: Final = 0.06  # have their books kept by one of ACCOUNTANTS, whose e-mail stands in the cards
ACCOUNTANTS: Final = 20
IN_BUSINESS_CENTRES: Final = 0.05  # sit behind the switchboard of one of BUSINESS_CENTRES
BUSINESS_CENTRES: Final = 15
FREE_MAIL: Final = 0.45  # write from free mail

SURNAMES: Final = (
    "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов Волков Алексеев Лебедев "
    "Семёнов Егоров Павлов Козлов Степанов Николаев Орлов Андреев Макаров Никитин Захаров Зайцев Соловьёв Борисов "
    "Яковлев Григорьев Романов Воробьёв Сергеев Кузьмин Фролов Александров Дмитриев Королёв Гусев Киселёв Ильин "
    "Максимов Поляков Сорокин Виноградов Ковалёв Белов Медведев Антонов Тарасов Жуков Баранов Филиппов Комаров"
).split()
# Usual surnames are a third of all; the others come from these, put together
RARE_STARTS: Final = (
    "Абр Бал Бер Вор Гал Гор Дуб Евс Жар Зем Кал Кар Кол Кра Лап Луч Мал Мер Нос Обл Пар Пес Пол Рог Руд Сав Сол Тар "
    "Тим Уст Хар Чер Шам Шир Щер Юд Яр"
).split()
RARE_MIDDLES: Final = (
    "ав аг ад ак ал ам ан ар ас ат ев ед ек ел ен ер ес ик ил ин ис об ог од ок ол он ор ос от ум ур".split()
)
RARE_ENDS: Final = ("ов", "ин", "кин", "ев", "ников")
USUAL: Final = 0.33
MEN: Final = "Иван Александр Сергей Дмитрий Андрей Алексей Максим Евгений Михаил Николай Владимир Павел Олег Юрий".split()
WOMEN: Final = "Елена Ольга Наталья Ирина Анна Татьяна Светлана Мария Екатерина Юлия Галина Марина".split()
FATHERS: Final = (
    "Иванов Александров Сергеев Дмитриев Андреев Алексеев Николаев Владимиров Павлов Викторов".split()
)
STREETS: Final = (
    "Ленина Мира Советская Гагарина Кирова Пушкина Садовая Лесная Школьная Новая Республики Победы Заводская "
    "Строителей Комсомольская Октябрьская Чапаева Молодёжная Набережная Полевая"
).split()
SISTER_WORDS: Final = (
    "СЕРВИС",
    "ТРАНС",
    "СТРОЙ",
    "ИНВЕСТ",
    "ПЛЮС",
    "ТРЕЙД",
    "ЛОГИСТИК",
    "РЕГИОН",
    "УРАЛ",
    "ГРУПП",
)
CITY_OF_REGION: Final = {
    "77": ("Москва",), "97": ("Москва",), "78": ("Санкт-Петербург",), "50": ("Балашиха", "Химки", "Подольск"),
    "52": ("Нижний Новгород", "Дзержинск"), "66": ("Екатеринбург", "Нижний Тагил"), "16": ("Казань", "Альметьевск"),
    "61": ("Ростов-на-Дону", "Таганрог"), "23": ("Краснодар", "Сочи"), "54": ("Новосибирск",), "63": ("Самара",),
    "59": ("Пермь",), "74": ("Челябинск", "Магнитогорск"), "72": ("Тюмень",), "86": ("Сургут", "Ханты-Мансийск"),
    "02": ("Уфа",), "24": ("Красноярск",), "36": ("Воронеж",), "27": ("Хабаровск",), "25": ("Владивосток",),
}  # fmt: skip
FREE_DOMAINS: Final = ("mail.ru", "yandex.ru", "gmail.com", "bk.ru", "inbox.ru", "list.ru")
MAILBOXES: Final = ("info", "office", "mail", "zakaz", "sales", "buh")


@dataclass(frozen=True, slots=True)
class Person:
    surname: str
    name: str
    patronymic: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an entity or a branch of it sits."""

    kpp: str
    city: str
    address: str
    phone: str


@dataclass(frozen=True, slots=True)
class Entity:
    kind: str
    form: str
    name: str
    initials: str  # what the register calls it in short, where that is another name
    inn: str
    seats: tuple[Seat, ...]
    email: str
    contacts: tuple[Person, ...]
    shared_phone: str = ""
    shared_email: str = ""


@dataclass(slots=True)
class World:
    """Numbers that are given out once, and values that many share."""

    random: Random
    inns: set[str] = field(default_factory=set)
    mailboxes: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)
    accountants: list[str] = field(default_factory=list)
    switchboards: list[str] = field(default_factory=list)

    def inn(self, region: str, digits: int) -> str:
        """A valid INN that no entity has."""
        while True:
            body = region + "".join(
                self.random.choices("0123456789", k=digits - 2 - (1 if digits == 10 else 2))
            )
            found = body + str(
                inn_numbers.calc_company_check_digit(body + "0")
                if digits == 10
                else inn_numbers.calc_personal_check_digits(body + "00")
            )
            if found not in self.inns and inn_numbers.is_valid(found):
                self.inns.add(found)
                return found

    def phone(self, *, mobile: bool) -> str:
        code = self.random.choice(
            ("903", "912", "916", "922", "926", "950", "961", "982")
            if mobile
            else ("495", "812", "343", "342", "831")
        )
        return f"+7{code}{self.random.randrange(2_000_000, 9_999_999)}"

    def mailbox(self, login: str, domain: str) -> str:
        """An address that nobody has: the login, with a number behind it where it is taken."""
        number, found = 1, f"{login}@{domain}"
        while found in self.mailboxes:
            number += 1
            found = f"{login}{number}@{domain}"
        self.mailboxes.add(found)
        return found

    def person(self) -> Person:
        woman = self.random.random() < 0.45
        parts = (SURNAMES,) if self.random.random() < USUAL else (RARE_STARTS, RARE_MIDDLES, RARE_ENDS)
        surname = "".join(self.random.choice(part) for part in parts) + ("а" if woman else "")
        name = self.random.choice(WOMEN if woman else MEN)
        patronymic = self.random.choice(FATHERS) + ("на" if woman else "ич")
        login = latin(f"{surname}{self.random.choice(('.', '_', ''))}{name[0]}")
        login += str(self.random.randrange(1, 99)) if self.random.random() < 0.6 else ""
        mailbox = self.mailbox(login, self.random.choice(FREE_DOMAINS))
        return Person(surname, name, patronymic, self.phone(mobile=True), mailbox)

    def seat(self, region: str, city: str, reason: str, phone: str) -> Seat:
        street, house = self.random.choice(STREETS), self.random.randrange(1, 150)
        kpp = f"{region}{self.random.randrange(1, 60):02d}{reason}{self.random.randrange(1, 4):03d}"
        return Seat(kpp, city, f"ул. {street}, д. {house}", phone)


def latin(text: str) -> str:
    """In Latin letters, as logins and web addresses are made."""
    letters = dirt.TRANSLITERATIONS[1]
    return "".join(letters.get(letter, letter) for letter in text.lower()).replace("`", "").replace(" ", "")


def entities(folder: Path, seed: int) -> list[Entity]:
    """The clients of the corpus. `folder`: `ru_companies` of the shared data; raises FileNotFoundError without it."""
    random = Random(seed)
    world = World(random)
    real = list(_real(folder))
    world.inns.update(inn for _, _, inn, _ in real)
    world.accountants = [f"buh{n}@{random.choice(FREE_DOMAINS)}" for n in range(1, ACCOUNTANTS + 1)]
    world.switchboards = [world.phone(mobile=False) for _ in range(BUSINESS_CENTRES)]
    made = [_company(world, name, initials, inn, city) for name, initials, inn, city in real]
    companies = list(made)
    for company in made:
        if random.random() < TWINS:
            city = company.seats[0].city if random.random() < 0.5 else ""
            twin = _company(world, f"{company.name} {company.form}", "", world.inn(company.inn[:2], 10), city)
            companies.append(twin)
        if random.random() < SISTERS:
            companies.extend(_sisters(world, company))
    traders = int(len(real) * SOLE_TRADERS)
    owned = random.sample(made, int(traders * OWNERS))
    companies.extend(_sole_trader(world, company) for company in owned)
    companies.extend(_sole_trader(world, None) for _ in range(traders - len(owned)))
    for _ in range(int(len(real) * PEOPLE)):
        person = world.person()
        inn = world.inn("77", 12) if random.random() < 0.1 else ""
        seat = world.seat(
            "77", random.choice(CITY_OF_REGION[random.choice(list(CITY_OF_REGION))]), "01", person.phone
        )
        name = f"{person.surname} {person.name} {person.patronymic}"
        companies.append(
            Entity("person", "", name, "", inn, (replace(seat, kpp=""),), person.email, (person,))
        )
    return companies


def _real(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Name with its form last, other short name or "", INN and city or "" of each company of the open data."""
    for file in ("fns_sme_legal_entities.csv", "fns_employees.csv"):
        with (folder / file).open(encoding="utf-8-sig", newline="") as rows:
            for row in csv.DictReader(rows):
                name = legal_name(row.get("name_full") or row["name"])
                short = legal_name(row.get("name_short") or "")
                initials = _bare(short)[0] if short and legal_name_key(short) != legal_name_key(name) else ""
                if name:
                    yield name, initials, row["inn"], (row.get("city") or "").title()


def _bare(name: str) -> tuple[str, str]:
    form = next((form for form in FORMS if name.endswith(f" {form}")), "")
    return name.removesuffix(f" {form}") if form else name, form


def _company(world: World, name: str, initials: str, inn: str, city: str) -> Entity:
    random, region = world.random, inn[:2]
    bare, form = _bare(name)
    city = city or random.choice(
        CITY_OF_REGION.get(region, ("Москва", "Екатеринбург", "Казань", "Тула", "Омск"))
    )
    seats = [world.seat(region, city, "01", world.phone(mobile=random.random() < 0.4))]
    if random.random() < BRANCHES:
        for _ in range(random.choice((1, 1, 2, 3))):
            other = random.choice(list(CITY_OF_REGION))
            there = random.choice(CITY_OF_REGION[other])
            seats.append(
                world.seat(other, there, random.choice(("43", "44", "45")), world.phone(mobile=False))
            )
    contacts = tuple(world.person() for _ in range(random.choice((1, 1, 2))))
    domain = (latin(legal_name_key(bare)) or "firma")[:18].strip("-&+.")
    domain = "".join(letter for letter in domain if letter.isascii() and letter.isalnum()) or "firma"
    if random.random() < FREE_MAIL:
        login = domain + random.choice(("", region, inn[-3:]))
        email = world.mailbox(login, random.choice(FREE_DOMAINS))
    else:
        site = domain + random.choice(("", "", inn[2:4], f"-{region}"))
        while site in world.sites:
            site += inn[-2:]
        world.sites.add(site)
        email = world.mailbox(random.choice(MAILBOXES), f"{site}.ru")
    return Entity(
        "company", form, bare, initials, inn, tuple(seats), email, contacts,
        shared_phone=random.choice(world.switchboards) if random.random() < IN_BUSINESS_CENTRES else "",
        shared_email=random.choice(world.accountants) if random.random() < OUTSOURCED else "",
    )  # fmt: skip


def _sisters(world: World, head: Entity) -> Iterator[Entity]:
    """Companies of one holding: one switchboard, one city, often one accountant, names of one word and another."""
    random = world.random
    for word in random.sample(SISTER_WORDS, random.choice((1, 1, 2, 3))):
        name = f"{head.name}{random.choice((' ', '-'))}{word} {head.form or 'ООО'}"
        sister = _company(world, name, "", world.inn(head.inn[:2], 10), head.seats[0].city)
        yield replace(
            sister,
            shared_phone=head.seats[0].phone,
            shared_email=head.email if random.random() < 0.5 else sister.shared_email,
            contacts=head.contacts if random.random() < 0.3 else sister.contacts,
        )


def _sole_trader(world: World, owned: Entity | None) -> Entity:
    random = world.random
    person = owned.contacts[0] if owned else world.person()
    name = f"{person.surname} {person.name} {person.patronymic}"
    region = owned.inn[:2] if owned else random.choice(list(CITY_OF_REGION))
    city = owned.seats[0].city if owned else random.choice(CITY_OF_REGION[region])
    seat = replace(world.seat(region, city, "01", person.phone), kpp="")
    return Entity("company", "ИП", name, "", world.inn(region, 12), (seat,), person.email, (person,))
