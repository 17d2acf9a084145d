"""The records that CRMs and accounting hold of a client: filled in as carefully as each system's users are.

A card's values are those of the client or one of its branches, each left out, written otherwise or mistyped at the
rates below; then they go through the project's own cleaning, as records do on their way into `core`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from benchmarks import identity_dirt as dirt
from benchmarks.identity_russia import Entity
from pipelines.core.cleaning import clean

CARDS: Final = {1: 0.36, 2: 0.28, 3: 0.18, 4: 0.11, 5: 0.07}  # records a client, and how often
FIRST_DAY: Final = date(2023, 1, 1)
DAYS: Final = 1_000


@dataclass(frozen=True, slots=True)
class System:
    """Shares of the cards that have a value at all, and of names that are written with care."""

    name: str
    share: float
    inn: float
    kpp: float
    phone: float
    email: float
    city: float
    address: float
    contact: float
    careful: float


SYSTEMS: Final = (
    System("bitrix24", 0.35, inn=0.62, kpp=0.35, phone=0.85, email=0.62, city=0.60, address=0.30, contact=0.65, careful=0.3),
    System("amocrm", 0.25, inn=0.40, kpp=0.10, phone=0.90, email=0.55, city=0.35, address=0.10, contact=0.75, careful=0.1),
    System("megaplan", 0.15, inn=0.60, kpp=0.40, phone=0.80, email=0.60, city=0.55, address=0.35, contact=0.60, careful=0.3),
    System("onec", 0.25, inn=0.97, kpp=0.92, phone=0.45, email=0.40, city=0.75, address=0.75, contact=0.30, careful=0.9),
)  # fmt: skip

# Of the names written without care
NAME_TYPO: Final = 0.12
SECOND_TYPO: Final = 0.15  # of those
TRANSLITERATED: Final = 0.06
SHORTENED: Final = 0.06
INITIALS: Final = 0.35  # of the names that the register has a short one for, care or not
YO: Final = 0.03
REMARK: Final = 0.02  # a city or a contact written behind the name
# Of the INNs given
INN_TYPO: Final = 0.015
INN_WITH_KPP: Final = 0.015
INN_IN_WORDS: Final = 0.02
INN_ZEROS: Final = 0.005
LOST_ZERO: Final = 0.6  # of those that begin with one, outside accounting
# Of the phones and e-mails given
CONTACTS_PHONE: Final = 0.35
SHARED_PHONE: Final = 0.6  # of the cards of those who share one
PHONE_TYPO: Final = 0.012
CONTACTS_EMAIL: Final = 0.2
SHARED_EMAIL: Final = 0.45  # of the cards of those who share one
EMAIL_TYPO: Final = 0.02
OTHER_CITY_SPELLING: Final = 0.3
OF_A_BRANCH: Final = 0.4  # of the cards of a client with branches

COLUMNS: Final = (
    "record_id", "kind", "name", "name_key", "tax_number", "tax_number_given", "kpp", "phone", "email", "city",
    "address", "contact_name", "source", "created_at",
)  # fmt: skip
Card = dict[str, str | None]


def cards(clients: Sequence[Entity], seed: int) -> tuple[list[Card], list[str]]:
    """The records in a shuffled order, each a value or None a column, and the client that each is of."""
    random = Random(seed)
    made: list[tuple[Card, str]] = []
    for number, client in enumerate(clients):
        count = random.choices(list(CARDS), list(CARDS.values()))[0]
        made.extend((_card(random, client), f"client-{number}") for _ in range(count))
    random.shuffle(made)
    rows = [card for card, _ in made]
    for number, row in enumerate(rows):
        row["record_id"] = f"r{number:07d}"
    _cleaned(rows, "tax_number", "tax_number_given", "tax_number")
    _cleaned(rows, "name_key", "name", "legal_name_key")
    for column in ("kpp", "phone", "email"):
        _cleaned(rows, column, column, column)
    return rows, [client for _, client in made]


def _cleaned(rows: list[Card], into: str, given: str, kind: str) -> None:
    for row, answer in zip(rows, clean(kind, [row[given] or "" for row in rows]), strict=True):
        row[into] = answer.value


def _card(random: Random, client: Entity) -> Card:
    system = random.choices(SYSTEMS, [system.share for system in SYSTEMS])[0]
    seat = (
        random.choice(client.seats[1:])
        if len(client.seats) > 1 and random.random() < OF_A_BRANCH
        else client.seats[0]
    )
    person = random.choice(client.contacts)

    def has(field: str) -> bool:
        return random.random() < float(getattr(system, field))

    return {
        "kind": client.kind,
        "name": _name(random, client, seat.city, careful=random.random() < system.careful),
        "tax_number_given": _inn(random, client.inn, system.name) if client.inn and has("inn") else None,
        "kpp": seat.kpp if seat.kpp and has("kpp") else None,
        "phone": _phone(random, client, seat.phone, person.phone) if has("phone") else None,
        "email": _email(random, client, person.email) if has("email") else None,
        "city": _city(random, seat.city) if has("city") else None,
        "address": seat.address if has("address") else None,
        "contact_name": dirt.contact(random, *dataclasses.astuple(person)[:3]) if has("contact") else None,
        "source": system.name,
        "created_at": (FIRST_DAY + timedelta(days=random.randrange(DAYS))).isoformat(),
    }


def _name(random: Random, client: Entity, city: str, *, careful: bool) -> str:
    if client.kind == "person":
        person = client.contacts[0]
        name = dirt.contact(random, person.surname, person.name, person.patronymic)
        return dirt.typo(random, name) if random.random() < NAME_TYPO / 2 else name
    name = client.initials if client.initials and random.random() < INITIALS else client.name
    if client.form == "ИП":
        person = client.contacts[0]
        if random.random() < 0.35:
            name = f"{person.surname} {person.name[0]}.{person.patronymic[0]}."
        elif random.random() < 0.15:
            name = f"{person.surname} {person.name}"
    if careful:
        return dirt.with_form(
            random, client.form, dirt.capitals(random, name) if random.random() < 0.5 else name
        )
    if random.random() < SHORTENED:
        name = dirt.shortened(name)
    if random.random() < YO:
        name = dirt.yo(random, name)
    name = dirt.capitals(random, name)
    if random.random() < NAME_TYPO:
        name = dirt.typo(random, name)
        if random.random() < SECOND_TYPO:
            name = dirt.typo(random, name)
    if random.random() < TRANSLITERATED:
        name = dirt.transliterated(random, name)
    written = dirt.with_form(random, client.form, name)
    if random.random() < REMARK:
        written += random.choice((f" ({city})", f" {city}", f" - {client.contacts[0].name}"))
    return written


def _inn(random: Random, inn: str, system: str) -> str:
    chance = random.random()
    if chance < INN_ZEROS:
        return "0" * len(inn)
    if chance < INN_ZEROS + INN_TYPO:
        return dirt.digit_typo(random, inn)
    if chance < INN_ZEROS + INN_TYPO + INN_WITH_KPP:
        return f"{inn}/{inn[:4]}01001"
    if chance < INN_ZEROS + INN_TYPO + INN_WITH_KPP + INN_IN_WORDS:
        return f"ИНН {inn}"
    if inn.startswith("0") and system != "onec" and random.random() < LOST_ZERO:
        return inn[1:]
    return inn


def _phone(random: Random, client: Entity, office: str, mobile: str) -> str:
    if client.shared_phone and random.random() < SHARED_PHONE:
        number = client.shared_phone
    else:
        number = mobile if random.random() < CONTACTS_PHONE else office
    if random.random() < PHONE_TYPO:
        number = f"+7{dirt.digit_typo(random, number[2:])}"
    return dirt.phone(random, number)


def _email(random: Random, client: Entity, personal: str) -> str:
    if client.shared_email and random.random() < SHARED_EMAIL:
        return client.shared_email
    address = personal if random.random() < CONTACTS_EMAIL else client.email
    login, _, domain = address.partition("@")
    if random.random() < EMAIL_TYPO:
        login = dirt.typo(random, login)
    return f"{login}@{domain}".upper() if random.random() < 0.05 else f"{login}@{domain}"


def _city(random: Random, city: str) -> str:
    return dirt.city(random, city) if random.random() < OTHER_CITY_SPELLING else city
