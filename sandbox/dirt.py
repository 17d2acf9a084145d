"""How people misspell what they know: the dirt of the company's records, the same in every CRM.

Which record is dirty stands in the company (`Company.dirt`); here is what it then looks like.
"""

from __future__ import annotations

import zlib
from datetime import datetime, time, timedelta

from sandbox.company.model import MOSCOW, Company, Deal, Party

FIRST_STAMP = datetime(2025, 3, 3, 10, tzinfo=MOSCOW)
"""When the first records of a CRM were made."""
_AFTERNOON = time(14, tzinfo=MOSCOW)


def number_of(key: str) -> int:
    return int(key[1:])


def uses_duplicate(company: Company, deal: Deal) -> bool:
    """Whether the sales people entered this deal with the duplicate of its client."""
    return bool(deal.id and zlib.crc32(deal.id.encode()) % 2) and "duplicate_company" in company.dirt_of(
        "client", deal.client_id
    )


def touched_at(deal: Deal, before: datetime) -> datetime:
    """When the base record was last changed: the evening of closing, or some hours after creation."""
    spread = timedelta(seconds=zlib.crc32(deal.id.encode()) % 14_400)
    if deal.closed_on is not None:
        moment = datetime.combine(deal.closed_on, _AFTERNOON) + spread
    else:
        moment = deal.created_at + timedelta(days=number_of(deal.id) % 5) + spread
    return min(max(moment, deal.created_at), before - timedelta(minutes=5))


def alias_of(company: Company, product: str) -> str:
    """Another spelling of a product: accounting's own, or careless typing."""
    known = company.products[product]
    if known.accounting_name != known.name:
        return known.accounting_name
    return known.name.upper().replace("  ", " ").replace("Ё", "Е")


def kazakh_number(number: int) -> str:
    """The BIN of a Kazakh company, of April 2014: eleven digits by its number, and the check digit.

    Serials for which neither row of weights gives a digit are not given out: the next one is.
    """
    for serial in range(14_044_000_000 + 2 * number, 14_045_000_000):
        digits = [int(digit) for digit in str(serial)]
        for weights in (range(1, 12), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)):
            check = sum(digit * weight for digit, weight in zip(digits, weights, strict=True)) % 11
            if check < 10:
                return f"{serial}{check}"
    raise ValueError(f"there is no Kazakh company {number}")


def shown_inn(party: Party, dirt: dict[str, str]) -> str:
    if "inn_missing" in dirt:
        return ""
    if "inn_checksum" in dirt:
        return party.inn[:-1] + str((int(party.inn[-1]) + 1) % 10)
    return party.inn.lstrip("0") if "inn_without_zero" in dirt else party.inn


def spelled_name(party: Party, variant: int) -> str:
    """One of the spellings people use: quotes, the legal form in full, at the end, or left out."""
    bare = party.name.removeprefix(f"{party.legal_form} ").replace("«", "").replace("»", "")
    if party.legal_form == "ИП":
        last, first, middle = [*bare.split(), "", ""][:3]
        return (f"Индивидуальный предприниматель {bare}", f"ИП {last} {first[:1]}.{middle[:1]}.", party.name)[
            variant % 3
        ]
    full = {
        "ООО": "Общество с ограниченной ответственностью",
        "АО": "Акционерное общество",
    }.get(party.legal_form, party.legal_form)
    return (
        f'{party.legal_form} "{bare}"',
        f"{bare}, {party.legal_form}",
        f"{full} «{bare}»",
        f"{party.legal_form} {bare.upper()}",
        f"{party.legal_form}«{bare}»",
        bare,
    )[variant % 6]


def spelled_phone(phone: str, variant: int) -> str:
    """One of the spellings of a Russian number +7XXXXXXXXXX; others are returned as they are."""
    if not phone.startswith("+7") or len(phone) != 12:
        return phone
    code, a, b, c = phone[2:5], phone[5:8], phone[8:10], phone[10:]
    return (
        f"8 ({code}) {a}-{b}-{c}",
        f"8{phone[2:]}",
        f"+7 {code} {a} {b} {c}",
        f"({code}) {a}-{b}-{c} доб. 12",
        f"7{phone[2:]}",
        f"тел. {code}-{a}{b}{c}",
    )[variant % 6]


def address_of(party: Party) -> dict[str, str]:
    """Its address taken apart: index, region, street, house. Abroad the whole line is the street."""
    parts = party.address.split(", ")
    if party.country != "RU" or len(parts) < 4:
        return {"index": "", "region": "", "street": party.address, "house": ""}
    return {
        "index": parts[0],
        "region": parts[1] if len(parts) > 4 else "",
        "street": parts[-2],
        "house": parts[-1].removeprefix("д. "),
    }


def spelled_address(party: Party, where: str) -> str:
    """How the people of one system (`where`) wrote the address: each by himself, some left it out."""
    variant = zlib.crc32(f"{where}:{party.id}".encode()) % 10
    said = address_of(party)
    if variant >= 8:
        return ""
    if not said["house"]:
        return said["street"]
    street, house = said["street"], said["house"]
    bare = street.removeprefix("ул. ")
    office = 1 + number_of(party.id) % 40
    return (
        party.address,
        f"{street}, {house}",
        f"{party.city}, {bare} {house}",
        f"Г. {party.city}, {street}, Д.{house}".upper(),
        f"{party.address}, оф. {office}",
        f"{street}, дом № {house}, офис {office}",
        f"{bare} ул., {house}" if bare != street else f"{street} {house}",
        "самовывоз" if office % 2 else "уточнить",
    )[variant]


def shown_title(party: Party, dirt: dict[str, str], duplicate: bool) -> str:
    if duplicate:
        return spelled_name(party, 0 if "name_spelling" in dirt else 5)
    if "name_typo" in dirt:
        at = len(party.name) // 2
        return party.name[:at] + party.name[at + 1] + party.name[at] + party.name[at + 2 :]
    return spelled_name(party, int(dirt["name_spelling"])) if "name_spelling" in dirt else party.name
