"""The company as its Bitrix24 portal shows it, dirt included. Its ids follow from those of the truth."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox.company.model import (
    LOST_STAGES,
    MOSCOW,
    SERVICES,
    STAGES,
    WON_STAGES,
    Company,
    Deal,
    DealLine,
    Party,
    deal_amounts,
    kopecks,
    unit_price,
)
from sandbox.dirt import (
    FIRST_STAMP,
    address_of,
    alias_of,
    kazakh_number,
    number_of,
    shown_inn,
    shown_title,
    spelled_address,
    spelled_name,
    spelled_phone,
    uses_duplicate,
)
from sandbox.store import Record

ADMIN = 1
CATALOG_ID = 24
DUPLICATE = 1_000_000
"""Distance between the ids of a company and of its duplicate."""
ROWS_A_DEAL = 10
VAT_IDS: dict[int | None, int] = {None: 1, 0: 2, 10: 3, 20: 5, 22: 7}
LEGAL, ACTUAL = 6, 1  # types of addresses
OWN_COMPANY = 5
OWN_REQUISITE = 2


def number(value: Decimal) -> int | float:
    """A number as PHP writes it into JSON: without a fraction when it is whole."""
    whole = int(value)
    return whole if whole == value else float(value)


def deal_id(key: str) -> int:
    return 100 + number_of(key)


def company_id(client: str, duplicate: bool = False) -> int:
    return 10 + number_of(client) + (DUPLICATE if duplicate else 0)


def contact_id(client: str) -> int:
    return 500 + number_of(client)


def requisite_id(party: str, duplicate: bool = False) -> int:
    return 20 + number_of(party) + (DUPLICATE if duplicate else 0)


def user_id(employee: str) -> int:
    return 10 + number_of(employee)


def product_id(product: str) -> int:
    return (400 if product[0] == "s" else 300) + number_of(product)


def iso(moment: datetime) -> str:
    if moment.tzinfo is not MOSCOW or moment.microsecond:
        moment = moment.astimezone(MOSCOW).replace(microsecond=0)
    return moment.isoformat()


def deal_record(company: Company, deal: Deal, updated: datetime) -> Record | None:
    """A deal as crm.item.* shows it, or None when it was deleted there."""
    dirt = company.dirt_of("deal", deal.id)
    if "deleted" in dirt:
        return None
    stage = dirt.get("stage_without_rule", deal.stage)
    semantic = "S" if stage in WON_STAGES else "F" if stage in LOST_STAGES else "P"
    amounts = deal_amounts(deal)
    opportunity = amounts.gross + Decimal(dirt.get("amount_mismatch", "0"))
    manual = "amount_mismatch" in dirt or "lines_missing" in dirt
    nameless = "client_missing" in dirt
    created, stamp = iso(deal.created_at), iso(updated)
    closing = deal.closed_on or deal.created_at.date() + timedelta(days=30)
    manager = user_id(deal.employee_id)
    contact = 0 if nameless else contact_id(deal.client_id)
    return {
        "id": deal_id(deal.id),
        "createdTime": created,
        "updatedTime": stamp,
        "createdBy": manager,
        "updatedBy": manager,
        "assignedById": manager,
        "opened": "Y",
        "leadId": None,
        "companyId": 0 if nameless else company_id(deal.client_id, uses_duplicate(company, deal)),
        "contactId": contact,
        "quoteId": None,
        "title": f"ТЕСТ {deal.title}" if "test_deal" in dirt else deal.title,
        "categoryId": int(deal.pipeline),
        "stageId": stage,
        "stageSemanticId": semantic,
        "isNew": "Y" if stage in ("NEW", "C1:NEW") else "N",
        "isRecurring": "N",
        "isReturnCustomer": "N",
        "closed": "N" if semantic == "P" else "Y",
        "typeId": "SERVICES" if deal.pipeline == SERVICES else "GOODS",
        "opportunity": number(opportunity),
        "isManualOpportunity": "Y" if manual else "N",
        "taxValue": 0 if "lines_missing" in dirt else number(amounts.vat),
        "currencyId": deal.currency,
        "probability": None,
        "comments": "",
        "begindate": f"{deal.created_at.date().isoformat()}T03:00:00+03:00",
        "closedate": f"{closing.isoformat()}T03:00:00+03:00",
        "webformId": 0,
        "sourceId": deal.source_id,
        "sourceDescription": "",
        "originatorId": None,
        "originId": None,
        "movedBy": manager,
        "movedTime": stamp if deal.closed_on else created,
        "lastActivityBy": manager,
        "lastActivityTime": stamp,
        "utmSource": "yandex" if deal.source_id == "ADVERTISING" else None,
        "utmMedium": "cpc" if deal.source_id == "ADVERTISING" else None,
        "utmCampaign": None,
        "observers": [],
        "contactIds": [contact] if contact else [],
        "ufCrmSverkaPaymentStatus": "",
        "ufCrmSverkaShipmentStatus": "",
        "ufCrmSverkaDebt": None,
        "entityTypeId": 2,
    }


def row_records(company: Company, deal: Deal) -> list[Record]:
    """The product rows of a deal. Discounts are of the unit price without tax, as the portal keeps them."""
    dirt = company.dirt_of("deal", deal.id)
    if "lines_missing" in dirt or "deleted" in dirt:
        return []
    rows = []
    for place, line in enumerate(deal.lines):
        row = _row(company, deal, line, place)
        if place == 0 and "product_unknown" in dirt:
            row.update(productId=0, productName=dirt["product_unknown"])
        elif place == 0 and "product_alias" in dirt:
            row.update(productId=0, productName=alias_of(company, line.product_id))
        rows.append(row)
    return rows


def _row(company: Company, deal: Deal, line: DealLine, place: int) -> Record:
    product = company.products[line.product_id]
    rate = Decimal(line.vat_rate)
    final = unit_price(line)
    if line.vat_included:
        with_tax, without_tax = final, kopecks(final * 100 / (100 + rate))
        brutto, netto = line.price, kopecks(line.price * 100 / (100 + rate))
    else:
        with_tax, without_tax = kopecks(final * (100 + rate) / 100), final
        brutto, netto = kopecks(line.price * (100 + rate) / 100), line.price
    absolute = bool(line.discount_percent) and number_of(deal.id) % 3 == 0
    export = deal.currency != "RUB" or company.parties[deal.party_id].country != "RU"
    return {
        "id": deal_id(deal.id) * ROWS_A_DEAL + place,
        "ownerId": deal_id(deal.id),
        "ownerType": "D",
        "productId": product_id(line.product_id),
        "productName": product.name,
        "price": number(with_tax),
        "priceAccount": number(with_tax),
        "priceExclusive": number(without_tax),
        "priceNetto": number(netto),
        "priceBrutto": number(brutto),
        "quantity": number(line.quantity),
        "discountTypeId": 1 if absolute else 2,
        "discountRate": number(line.discount_percent),
        "discountSum": number(netto - without_tax),
        "taxRate": int(rate) if rate or export else None,
        "taxIncluded": "Y" if line.vat_included else "N",
        "customized": "Y",
        "measureCode": int(product.okei),
        "measureName": product.unit,
        "sort": (place + 1) * 10,
        "xmlId": "",
        "type": 7 if product.is_service else 1,
        "storeId": None,
    }


def company_records(company: Company, client: str, updated: datetime) -> Iterator[Record]:
    """The company of a client, and its duplicate when the sales people made one."""
    party = company.parties[company.clients[client][0]]
    yield _company(company, client, party, updated, duplicate=False)
    if "duplicate_company" in company.dirt_of("client", client):
        yield _company(company, client, party, updated, duplicate=True)


def _company(company: Company, client: str, party: Party, updated: datetime, duplicate: bool) -> Record:
    dirt = company.dirt_of("party", party.id)
    title = shown_title(party, dirt, duplicate)
    phone = (
        spelled_phone(party.phone, int(dirt["phone_spelling"])) if "phone_spelling" in dirt else party.phone
    )
    if duplicate:
        phone = spelled_phone(party.phone, 1)
    number = company_id(client, duplicate)
    created = FIRST_STAMP + timedelta(hours=number_of(client) % 2000)
    return {
        "id": number,
        "createdTime": iso(created),
        "updatedTime": iso(updated),
        "createdBy": ADMIN,
        "updatedBy": ADMIN,
        "assignedById": user_id(f"e{number_of(client) % len(company.employees) + 1}"),
        "opened": "Y",
        "lastActivityBy": ADMIN,
        "lastActivityTime": iso(created),
        "title": title,
        "typeId": "CUSTOMER",
        "industry": "OTHER",
        "currencyId": "RUB",
        "isMyCompany": "N",
        "hasPhone": "Y",
        "hasEmail": "Y",
        "contactIds": [] if duplicate else [contact_id(client)],
        "originatorId": None,
        "originId": None,
        "originVersion": None,
        "comments": "",
        "utmSource": None,
        "utmMedium": None,
        "utmCampaign": None,
        "ufCrmSverkaDebt": None,
        "fm": multifields(number * 10, phone, party.email),
        "entityTypeId": 4,
    }


def own_company_record(company: Company) -> Record:
    own = company.own
    return {
        **_company(company, "c0", own, FIRST_STAMP, duplicate=False),
        "id": OWN_COMPANY,
        "title": own.name,
        "isMyCompany": "Y",
        "contactIds": [],
    }


def contact_record(company: Company, client: str, updated: datetime) -> Record:
    party = company.parties[company.clients[client][0]]
    rng = random.Random(f"{company.seed}:contact:{client}")
    from sandbox.company.words import person_name

    last, first, middle = person_name(rng)
    number = contact_id(client)
    phone = spelled_phone(f"+79{rng.randrange(10**8, 10**9)}", rng.randrange(6))
    return {
        "id": number,
        "createdTime": iso(FIRST_STAMP + timedelta(hours=number_of(client) % 2000)),
        "updatedTime": iso(updated),
        "createdBy": ADMIN,
        "updatedBy": ADMIN,
        "assignedById": user_id(f"e{number_of(client) % len(company.employees) + 1}"),
        "opened": "Y",
        "lastActivityBy": ADMIN,
        "lastActivityTime": iso(updated),
        "name": first,
        "lastName": last,
        "secondName": middle,
        "post": "Директор",
        "typeId": "CLIENT",
        "sourceId": "CALL",
        "companyId": company_id(client),
        "companyIds": [company_id(client)],
        "hasPhone": "Y",
        "hasEmail": "Y",
        "originatorId": None,
        "originId": None,
        "originVersion": None,
        "comments": "",
        "utmSource": None,
        "utmMedium": None,
        "utmCampaign": None,
        "fm": multifields(number * 10 + 5, phone, party.email.upper() if number % 4 == 0 else party.email),
        "entityTypeId": 3,
    }


def requisite_records(company: Company, client: str, changed: str = "") -> Iterator[Record]:
    """One requisite for each party of the client; the duplicate company has its own. All values are text."""
    parties = company.clients[client]
    for place, key in enumerate(parties):
        yield _requisite(company, company.parties[key], company_id(client), requisite_id(key), place, changed)
    if "duplicate_company" in company.dirt_of("client", client):
        key = parties[0]
        duplicate = company_id(client, duplicate=True)
        yield _requisite(company, company.parties[key], duplicate, requisite_id(key, True), 0, changed)


def own_requisite_record(company: Company) -> Record:
    return _requisite(company, company.own, OWN_COMPANY, OWN_REQUISITE, 0, "")


def _requisite(company: Company, party: Party, owner: int, number: int, place: int, changed: str) -> Record:
    dirt = company.dirt_of("party", party.id)
    sole = party.legal_form == "ИП"
    names = party.name.removeprefix("ИП ").split() if sole else ["", "", ""]
    return {
        "ID": str(number),
        "ENTITY_TYPE_ID": "4",
        "ENTITY_ID": str(owner),
        "PRESET_ID": "2" if sole else "1",
        "DATE_CREATE": iso(FIRST_STAMP + timedelta(minutes=number % DUPLICATE % 50_000)),
        "DATE_MODIFY": changed,
        "CREATED_BY_ID": str(ADMIN),
        "MODIFY_BY_ID": str(ADMIN) if changed else None,
        "NAME": "ИП" if sole else "Организация" if place == 0 else "Организация (доп.)",
        "CODE": None,
        "XML_ID": None,
        "ORIGINATOR_ID": None,
        "ACTIVE": "Y",
        "ADDRESS_ONLY": "N",
        "SORT": str(500 + place * 10),
        "RQ_NAME": party.name.removeprefix("ИП ") if sole else None,
        "RQ_FIRST_NAME": names[1] if sole else None,
        "RQ_LAST_NAME": names[0] if sole else None,
        "RQ_SECOND_NAME": names[2] if sole else None,
        "RQ_COMPANY_NAME": None if sole else shown_title(party, dirt, owner > DUPLICATE),
        "RQ_COMPANY_FULL_NAME": None if sole else spelled_name(party, 2),
        "RQ_INN": shown_inn(party, dirt) if party.inn else None,
        "RQ_KPP": None if sole else party.kpp or None,
        "RQ_OGRN": None if sole else party.ogrn or None,
        "RQ_OGRNIP": party.ogrn if sole else None,
        "RQ_OKPO": None,
        "RQ_DIRECTOR": None,
        "RQ_ACCOUNTANT": None,
        "RQ_VAT_ID": f"{party.country}{900000000 + number}" if party.country == "DE" else None,
        "RQ_BIN": kazakh_number(number) if party.country == "KZ" else None,
        "RQ_IIN": None,
        "RQ_PHONE": party.phone,
        "RQ_EMAIL": party.email,
    }


def address_records(company: Company, client: str, requisites: Iterable[Record]) -> Iterator[Record]:
    """The addresses of these requisites: the legal one, of some the actual one too; others have none."""
    by_number = {
        requisite_id(key, doubled): key for key in company.clients[client] for doubled in (False, True)
    }
    for requisite in requisites:
        party = company.parties[by_number[int(requisite["ID"])]]
        line = spelled_address(party, "bitrix24")
        if line:
            yield _address(requisite, LEGAL, party, line)
        if line and number_of(party.id) % 5 == 0:
            yield _address(requisite, ACTUAL, party, spelled_address(party, "bitrix24 store"))


def _address(requisite: Record, kind: int, party: Party, line: str) -> Record:
    """In the portal's parts where somebody chose it from the map; typed by hand it stands in one of them."""
    said = address_of(party)
    chosen = number_of(party.id) % 3 > 0 and said["house"] != ""
    return {
        "TYPE_ID": str(kind),
        "ENTITY_TYPE_ID": "8",
        "ENTITY_ID": requisite["ID"],
        "ADDRESS_1": f"{said['street']}, {said['house']}" if chosen else line,
        "ADDRESS_2": f"оф. {1 + number_of(party.id) % 40}" if chosen and number_of(party.id) % 2 else "",
        "CITY": party.city if chosen else "",
        "POSTAL_CODE": said["index"] if chosen else "",
        "REGION": "",
        "PROVINCE": said["region"] if chosen else "",
        "COUNTRY": "Россия" if chosen else "",
        "COUNTRY_CODE": None,
        "LOC_ADDR_ID": str(int(requisite["ID"]) * 10 + kind),
        "ANCHOR_TYPE_ID": "4",
        "ANCHOR_ID": requisite["ENTITY_ID"],
    }


def link_record(company: Company, deal: Deal) -> Record | None:
    """Which requisite a deal uses. Kept for clients with two and, by habit, for some with one."""
    dirt = company.dirt_of("deal", deal.id)
    two = len(company.clients[deal.client_id]) > 1
    if "deleted" in dirt or "requisite_ambiguous" in dirt or "client_missing" in dirt:
        return None
    if not two and number_of(deal.id) % 3:
        return None
    return {
        "ENTITY_TYPE_ID": "2",
        "ENTITY_ID": str(deal_id(deal.id)),
        "REQUISITE_ID": str(requisite_id(deal.party_id, uses_duplicate(company, deal))),
        "BANK_DETAIL_ID": "0",
        "MC_REQUISITE_ID": str(OWN_REQUISITE),
        "MC_BANK_DETAIL_ID": "0",
    }


def history_records(deal: Deal, stage: str, until: datetime) -> Iterator[Record]:
    """The stages a deal of the base went through, evenly between its creation and its last change."""
    stages = list(STAGES[deal.pipeline])
    way = stages[: stages.index(deal.stage) + 1] if deal.stage not in LOST_STAGES else [stages[0], deal.stage]
    if deal.stage in WON_STAGES:
        way = [*stages[:-2], deal.stage]
    if stage != deal.stage:
        way = [*way[:-1], stage]
    step = (until - deal.created_at) / max(len(way) - 1, 1)
    for place, name in enumerate(way):
        semantic = "S" if name in WON_STAGES else "F" if name in LOST_STAGES else "P"
        yield {
            "ID": deal_id(deal.id) * ROWS_A_DEAL + place,
            "TYPE_ID": 1 if place == 0 else 2 if semantic == "P" else 3,
            "OWNER_ID": deal_id(deal.id),
            "CREATED_TIME": iso(deal.created_at + step * place),
            "CATEGORY_ID": int(deal.pipeline),
            "STAGE_SEMANTIC_ID": semantic,
            "STAGE_ID": name,
        }


def multifields(first: int, phone: str, email: str) -> list[dict[str, Any]]:
    return [
        {"id": first, "valueType": "WORK", "value": phone, "typeId": "PHONE"},
        {"id": first + 1, "valueType": "WORK", "value": email, "typeId": "EMAIL"},
    ]
