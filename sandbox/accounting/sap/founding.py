"""What the system holds before anybody connects: our company code, accounts, rates, customers, products, old sales.

Numbers come from the internal ranges in the order of the company's records, so one seed gives one system.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.accounting.sap import (
    billing,
    goods,
    ledger,
    masters,
    masters_model,
    orders,
    payments,
    products,
    sales_model,
)
from sandbox.accounting.sap.call import Draft
from sandbox.accounting.sap.edm import EntitySet, Service
from sandbox.accounting.sap.ledger import Entry, Head
from sandbox.accounting.sap.system import (
    AREA,
    CHART,
    COMPANY,
    COUNTRY,
    CURRENCIES,
    CURRENCY,
    PLANT,
    System,
)
from sandbox.accounting.sap.values import quantity
from sandbox.company.growth import currency_of
from sandbox.company.model import HISTORY_DAYS, Party, Product

OLD_SALES: Final = 12
OKEI_UNITS: Final = {"796": "PC", "356": "H", "876": "AU", "006": "M", "166": "KG", "778": "PAK"}
RATES: Final = {
    "USD": Decimal("84.5"),
    "EUR": Decimal("94.2"),
    "CNY": Decimal("11.7"),
    "KZT": Decimal("0.165"),
}
SUPPLIERS: Final = ("ЭНЕРГОСБЫТ ПАО", "ДЕЛОВОЙ ПАРК ООО", "КАНЦЕЛЯРИЯ ПЛЮС ООО", "УФК ПО Г. МОСКВЕ")
DUPLICATE_SHARE: Final = 0.04


def fill(system: System, *, bare: bool) -> None:
    company = system.books.company
    rng = random.Random(f"{company.seed}:sap")
    system.on(company.today - timedelta(days=HISTORY_DAYS + 31))
    frame(system)
    add_rates(system, company.today - timedelta(days=HISTORY_DAYS + 30), company.today)
    if bare:
        system.on(None)
        return
    for party in company.parties.values():
        if party.known_to_accounting:
            number = customer(system, party)
            if rng.random() < DUPLICATE_SHARE:
                copy = customer(system, party)
                if marked := rng.random() < 0.8:
                    row = system.db["partner"].get(copy) or {}
                    system.db["partner"].change(row, IsMarkedForArchiving=True)
                system.act("duplicate", number, copy=copy, marked=marked, party=party.id)
    for name in SUPPLIERS:
        _supplier(system, name)
    for product in company.products.values():
        if product.known_to_accounting:
            material(system, product)
    goods.begin(system)
    _opening(system)
    _old_sales(system)


def frame(system: System) -> None:
    """Our own firm: company code, plant, chart of accounts."""
    own = system.books.company.own
    system.db["company"].put({
        "CompanyCode": COMPANY, "CompanyCodeName": own.name[:25], "CityName": own.city[:25], "Country": own.country,
        "Currency": CURRENCY, "Language": "EN", "ChartOfAccounts": CHART, "FiscalYearVariant": "K4",
        "VATRegistration": own.inn,
    })  # fmt: skip
    system.db["plant"].put({
        "Plant": PLANT, "PlantName": "Основной склад", "ValuationArea": PLANT, "SalesOrganization": AREA[0], "Language": "EN",
    })  # fmt: skip
    moment = system.now()
    for number, (name, balance, group) in ledger.ACCOUNTS.items():
        key = {"ChartOfAccounts": CHART, "GLAccount": number, "LastChangeDateTime": moment}
        system.db["account"].put({
            **key, "IsBalanceSheetAccount": balance, "GLAccountGroup": group, "GLAccountType": "X" if balance else "P",
            "ProfitLossAccountType": "" if balance else "X", "CreationDate": system.today.isoformat(),
        })  # fmt: skip
        system.db["account_text"].put(
            {**key, "Language": "EN", "GLAccountName": name[:20], "GLAccountLongName": name}
        )


def add_rates(system: System, start: date, end: date) -> int:
    """Rates of every day of [start, end] that has none; returns how many were added."""
    rows, added = system.books.rows("rates"), 0
    for currency, average in RATES.items():
        for offset in range((end - start).days + 1):
            day = start + timedelta(days=offset)
            key = f"{currency}:{day.isoformat()}"
            if key not in rows:
                digest = hashlib.sha256(f"{currency}{day.toordinal() // 3}".encode()).digest()
                swing = Decimal(int.from_bytes(digest[:2], "big") % 700 - 350) / 10_000
                rows.put(key, {"rate": str((average * (1 + swing)).quantize(Decimal("0.00001")))})
                added += 1
    return added


def customer(system: System, party: Party) -> str:
    """A customer of ours, extended to company code and sales area, by the way the interface goes. Its number."""
    home = party.country == COUNTRY
    currency = currency_of(party)
    names = split(party.name)
    person = party.legal_form == "ИП"
    values: dict[str, Any] = {
        "BusinessPartnerCategory": "2", "BusinessPartnerGrouping": "BP01", "SearchTerm1": (party.inn or party.name)[:20].upper(),
        **{f"OrganizationBPName{n}": text for n, text in enumerate(names, 1)},
    }  # fmt: skip
    taxes = [("RU1", party.inn)] if party.inn else []
    taxes += [("RU3", party.kpp)] if party.kpp and not person else []
    street = party.address.split(", ")
    address = draft("A_BusinessPartnerAddress", {
        "Country": party.country, "CityName": party.city[:40], "StreetName": ", ".join(street[2:])[:60] or party.address[:60],
        "PostalCode": street[0] if home and street[0].isdigit() else "", "Language": "EN",
    })  # fmt: skip
    if party.email:
        mail = {"EmailAddress": party.email, "IsDefaultEmailAddress": True}
        address.inner["to_EmailAddress"] = [draft("A_AddressEmailAddress", mail)]
    if party.phone:
        phone = {"PhoneNumber": party.phone, "IsDefaultPhoneNumber": True}
        address.inner["to_PhoneNumber"] = [draft("A_AddressPhoneNumber", phone)]
    area = dict(zip(("SalesOrganization", "DistributionChannel", "Division"), AREA, strict=True))
    money = currency if currency in CURRENCIES else CURRENCY
    sold = draft("A_CustomerSalesArea", {**area, "Currency": money, "CustomerPaymentTerms": "NT30"})
    sold.inner["to_SalesAreaTax"] = [
        draft("A_CustomerSalesAreaTax", {
            **area, "DepartureCountry": COUNTRY, "CustomerTaxCategory": products.TAX,
            "CustomerTaxClassification": "1" if home else "0",
        })
    ]  # fmt: skip
    account = ledger.RECEIVABLE if home else ledger.RECEIVABLE_ABROAD
    made = draft("A_Customer", {})
    made.inner["to_CustomerCompany"] = [
        draft(
            "A_CustomerCompany",
            {"CompanyCode": COMPANY, "ReconciliationAccount": account, "PaymentTerms": "NT30"},
        )
    ]
    made.inner["to_CustomerSalesArea"] = [sold]
    whole = draft("A_BusinessPartner", values)
    whole.inner = {
        "to_BusinessPartnerRole": [draft("A_BusinessPartnerRole", {"BusinessPartnerRole": role}) for role in ("FLCU00", "FLCU01")],
        "to_BusinessPartnerAddress": [address],
        "to_BusinessPartnerTax": [draft("A_BusinessPartnerTaxNumber", {"BPTaxType": kind, "BPTaxNumber": text}) for kind, text in taxes],
        "to_Customer": [made],
    }  # fmt: skip
    return str(masters.create(system, whole)["BusinessPartner"])


def material(system: System, product: Product) -> str:
    """A product with texts, sales and tax data, its price without VAT and, for goods, stock at cost."""
    unit = OKEI_UNITS.get(product.okei, "PC")
    kind = {10: "2", 0: "0"}.get(product.vat_rate, "1")
    net = goods.without_tax(product.price, product.vat_rate)
    whole = draft("A_Product", {
        "Product": product.code.upper()[:40], "ProductType": "SERV" if product.is_service else "HAWA", "BaseUnit": unit,
        "ProductGroup": "P001" if product.is_service else "L001", "ProductOldID": product.id.upper(),
    })  # fmt: skip
    whole.inner = {
        "to_Description": [draft("A_ProductDescription", {"Language": "EN", "ProductDescription": product.accounting_name[:40]})],
        "to_SalesDelivery": [draft("A_ProductSalesDelivery", {"ProductSalesOrg": AREA[0], "ProductDistributionChnl": AREA[1]})],
        "to_ProductSalesTax": [draft("A_ProductSalesTax", {"Country": COUNTRY, "TaxCategory": products.TAX, "TaxClassification": kind})],
        "to_Plant": [draft("A_ProductPlant", {"Plant": PLANT})],
    }  # fmt: skip
    number = str(products.create(system, whole)["Product"])
    goods.price(system, number, net, unit)
    if not product.is_service:
        cost = (net * Decimal("0.7")).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
        system.db["product_value"].put({
            "Product": number, "ValuationArea": PLANT, "ValuationType": "", "ValuationClass": "3100",
            "InventoryValuationProcedure": "V", "MovingAveragePrice": f"{cost:.2f}", "PriceUnitQty": "1",
            "Currency": CURRENCY, "BaseUnit": unit,
        })  # fmt: skip
        goods.stock(system, number, unit, Decimal(1000))
    return number


def draft(name: str, values: dict[str, Any]) -> Draft:
    return Draft(_SETS[name], values)


def split(name: str) -> list[str]:
    """A name in parts of 40, as the four name fields hold it: words stay whole where they can."""
    parts = [""]
    for word in name.split():
        if len(f"{parts[-1]} {word}".strip()) <= 40:
            parts[-1] = f"{parts[-1]} {word}".strip()
        else:
            parts.append(word[:40])
    return parts[:4]


def _supplier(system: System, name: str) -> None:
    whole = draft(
        "A_BusinessPartner",
        {"BusinessPartnerCategory": "2", "OrganizationBPName1": name, "SearchTerm1": name[:20]},
    )
    whole.inner["to_BusinessPartnerRole"] = [
        draft("A_BusinessPartnerRole", {"BusinessPartnerRole": "FLVN00"})
    ]
    row = masters.create(system, whole)
    number = row["BusinessPartner"]
    system.db["supplier"].put({
        "Supplier": number, "SupplierName": name, "SupplierFullName": name, "CreationDate": system.today.isoformat(),
    })  # fmt: skip
    system.db["partner"].change(row, Supplier=number)


def _opening(system: System) -> None:
    """Money and stock against the initial entry account."""
    day = system.books.company.today - timedelta(days=HISTORY_DAYS + 31)
    money = Decimal("5000000.00")
    entries = [Entry(ledger.BANK, money, money)]
    for row in system.db["product_value"].rows():
        held = goods.held_of(system, row["Product"])
        worth = Decimal(row["MovingAveragePrice"]) * held
        more = {
            "Material": row["Product"],
            "Product": row["Product"],
            "Quantity": quantity(held),
            "BaseUnit": row["BaseUnit"],
        }
        entries.append(Entry(ledger.STOCK, worth, worth, more=more))
    total = sum((entry.amount for entry in entries), Decimal(0))
    entries.append(Entry(ledger.OPENING, -total, -total))
    ledger.post(system, Head("SA", day, text="Opening balances"), entries, checked=False)


def _old_sales(system: System) -> None:
    """Sales of before the integration, some of them paid; nobody's deal stands behind them."""
    buyers = [row["Customer"] for row in system.db["customer"].rows() if usable(system, row["Customer"])]
    wares = [row["Product"] for row in system.db["product"].rows() if row["ProductType"] == "HAWA"]
    made = []
    for number in range(min(OLD_SALES, len(buyers)) if wares else 0):
        buyer = buyers[number * len(buyers) // OLD_SALES % len(buyers)]
        day = system.books.company.today - timedelta(days=HISTORY_DAYS - number)
        system.on(day)
        sold, bill = sale(system, buyer, [(wares[number % len(wares)], Decimal(number % 5 + 1))], day)
        paid = number % 3 != 0
        system.act("foreign", sold, billing=bill, paid=paid)
        if paid:
            made.append((day + timedelta(days=OLD_SALES + 9), bill))
    for day, bill in made:
        system.on(day)
        row = system.db["billing"].get(bill) or {}
        payments.receive(
            system, row["PayerParty"], Decimal(row["TotalGrossAmount"]), day, currency=row["TransactionCurrency"],
            invoice=payments.receivable(system, bill), reference=bill, text=f"Оплата по счету {bill}",
        )  # fmt: skip
    system.on(None)


def order(system: System, buyer: str, items: Iterable[tuple[str, Decimal]], day: date) -> str:
    """An order entered by hand; its number."""
    whole = draft("A_SalesOrder", {
        "SalesOrderType": "OR", "SalesOrganization": AREA[0], "DistributionChannel": AREA[1],
        "OrganizationDivision": AREA[2], "SoldToParty": buyer, "SalesOrderDate": day.isoformat(),
        "PricingDate": day.isoformat(), "RequestedDeliveryDate": day.isoformat(),
    })  # fmt: skip
    whole.inner["to_Item"] = [
        draft("A_SalesOrderItem", {"Material": number, "RequestedQuantity": quantity(amount)})
        for number, amount in items
    ]
    made, _ = orders.create(system, whole)
    system.db["order"].change(made, CreatedByUser="SALES_CLERK")
    return str(made["SalesOrder"])


def sale(system: System, buyer: str, items: Iterable[tuple[str, Decimal]], day: date) -> tuple[str, str]:
    """An order entered by hand, delivered and billed at once: numbers of the order and of its billing document."""
    made = order(system, buyer, items, day)
    billing.deliver(system, made, day)
    return made, billing.bill(system, made, day) or ""


def walk_in(system: System, name: str, inn: str) -> str:
    """A customer entered by hand."""
    kind = "ИП" if len(inn) == 12 else "ООО"
    party = Party("", name, kind, inn, "", "", COUNTRY, "", "", "Москва", "", known_to_accounting=True)
    return customer(system, party)


def thing(system: System, name: str, net: Decimal, service: bool) -> str:
    """A product entered by hand, under the next number of its range, with a price without VAT."""
    unit, kind = ("AU", "SERV") if service else ("PC", "HAWA")
    whole = draft("A_Product", {"ProductType": kind, "BaseUnit": unit})
    whole.inner = {
        "to_Description": [draft("A_ProductDescription", {"Language": "EN", "ProductDescription": name[:40]})],
        "to_SalesDelivery": [draft("A_ProductSalesDelivery", {"ProductSalesOrg": AREA[0], "ProductDistributionChnl": AREA[1]})],
        "to_ProductSalesTax": [draft("A_ProductSalesTax", {"Country": COUNTRY, "TaxCategory": products.TAX, "TaxClassification": "1"})],
    }  # fmt: skip
    number = str(products.create(system, whole)["Product"])
    goods.price(system, number, net, unit)
    if not service:
        goods.stock(system, number, unit, Decimal(100))
    return number


def usable(system: System, number: str) -> bool:
    partner = masters.partner_of(system, number) or {}
    return (
        not partner.get("IsMarkedForArchiving") and system.db["customer_area"].get(number, *AREA) is not None
    )


def _sets(*services: Service) -> dict[str, EntitySet]:
    return {name: found for service in services for name, found in service.sets.items()}


_SETS: Final = _sets(masters_model.BUSINESS_PARTNER, masters_model.PRODUCT_SRV, sales_model.SALES_ORDER_SRV)
