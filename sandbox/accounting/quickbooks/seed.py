"""What the company file holds before anybody connects: own firm, accounts, taxes, currencies, masters, old papers.

An international edition with roubles as home currency. Goods are inventory items with stock, customers carry
their INN in ResaleNum and in Notes; customers abroad are kept in their own currency.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import check, journal, names, payments, sales
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.values import PACIFIC, Row, cents, plain, ref
from sandbox.company import prices
from sandbox.company.growth import currency_of
from sandbox.company.model import HISTORY_DAYS, Company, Party, Product, main_vat_rate

OLD_DOCUMENTS: Final = 12
HOME: Final = "RUB"
FOREIGN: Final = {"USD": Decimal("84.5"), "EUR": Decimal("94.2")}
STOCK: Final = 10_000
CHART: Final = (
    # what the service uses it for, number, name, type, subtype
    ("bank", "51", "Расчетный счет", "Bank", "Checking"),
    ("ar:RUB", "62", "Accounts Receivable (A/R)", "Accounts Receivable", "AccountsReceivable"),
    ("ar:USD", "62.21", "Accounts Receivable (A/R) - USD", "Accounts Receivable", "AccountsReceivable"),
    ("ar:EUR", "62.22", "Accounts Receivable (A/R) - EUR", "Accounts Receivable", "AccountsReceivable"),
    ("undeposited", "57", "Undeposited Funds", "Other Current Asset", "UndepositedFunds"),
    ("stock", "41", "Inventory Asset", "Other Current Asset", "Inventory"),
    ("ap", "60", "Accounts Payable (A/P)", "Accounts Payable", "AccountsPayable"),
    ("tax", "68.02", "VAT Payable", "Other Current Liability", "GlobalTaxPayable"),
    ("equity", "80", "Opening Balance Equity", "Equity", "OpeningBalanceEquity"),
    ("retained", "84", "Retained Earnings", "Equity", "RetainedEarnings"),
    ("income", "90.01", "Sales of Product Income", "Income", "SalesOfProductIncome"),
    ("services", "90.02", "Services", "Income", "ServiceFeeIncome"),
    ("discount", "90.08", "Discounts given", "Income", "DiscountsRefundsGiven"),
    ("cost", "90.03", "Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs"),
    ("expense", "44", "Office Expenses", "Expense", "OfficeGeneralAdministrativeExpenses"),
    ("gain", "91", "Exchange Gain or Loss", "Other Expense", "ExchangeGainOrLoss"),
    ("bank:USD", "52.1", "Валютный счет USD", "Bank", "Checking"),
    ("bank:EUR", "52.2", "Валютный счет EUR", "Bank", "Checking"),
)
TAXES: Final = ((22, "22% S"), (20, "20% S"), (10, "10% S"), (0, "0% S"), (None, "Exempt"))
"""Rates in percent and the names of their codes; an exempt line has no rate."""
SUPPLIERS: Final = ("ПАО «Энергосбыт»", "ООО «Деловой парк»", "ООО «Канцелярия плюс»")


def fill(file: CompanyFile, company: Company, *, bare: bool = False) -> None:
    """Fill an empty company file. One that is filled already is left alone."""
    if "company" in file.settings:
        return
    realm = f"91{random.Random(f'{company.seed}:realm').randrange(10**13, 10**14)}"
    file.settings.put("company", {"realm": realm, "home": HOME})
    seeding = _Seeding(file, company)
    seeding.frame()
    add_rates(file, company.today - timedelta(days=HISTORY_DAYS + 30), company.today)
    seeding.opening()
    if not bare:
        seeding.customers()
        seeding.items()
        seeding.papers()
        seeding.drifts()
    file.events.clear()


def add_rates(file: CompanyFile, start: date, end: date) -> int:
    """Rates of the foreign currencies for every day of [start, end] that has none; how many were added."""
    added = 0
    for code, average in FOREIGN.items():
        days = list((file.settings.get(f"rates:{code}") or {"days": []})["days"])
        known = set(days)
        for offset in range((end - start).days + 1):
            day = (start + timedelta(days=offset)).isoformat()
            if day in known:
                continue
            draw = random.Random(f"{code}{date.fromisoformat(day).toordinal() // 3}").randrange(
                -30_000, 30_000
            )
            rate = average + Decimal(draw) / 10_000
            body: Row = {
                "SourceCurrencyCode": code,
                "TargetCurrencyCode": HOME,
                "Rate": plain(rate),
                "AsOfDate": day,
            }
            file.create("ExchangeRate", body, key=f"{code}:{day}", at=_noon(day), quiet=True)
            days.append(day)
            added += 1
        file.settings.put(f"rates:{code}", {"days": sorted(days)})
    return added


def us_taxes(file: CompanyFile) -> None:
    """What the US edition has instead of tax codes on lines: TAX, NON and the rate of the place."""
    accounts = file.settings["accounts"]
    if "us_rate" in accounts:
        return
    rate = file.create(
        "TaxRate", {"Name": "California", "Active": True, "RateValue": 8, "SpecialTaxType": "NONE"}
    )
    detail = {
        "TaxRateDetail": [
            {"TaxRateRef": ref(rate["Id"], "California"), "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0}
        ]
    }
    for key, group in (("TAX", False), ("NON", False), ("", True)):
        body: Row = {
            "Name": key or "California",
            "Description": key or "California",
            "Active": True,
            "TaxGroup": group,
        }
        file.create(
            "TaxCode",
            {**body, "Taxable": key != "NON", "SalesTaxRateList": detail if group else {"TaxRateDetail": []}},
            key=key,
        )
    file.settings.put("accounts", {**accounts, "us_rate": rate["Id"]})


def party_name(party: Party) -> str:
    return party.name


def _noon(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=PACIFIC).timestamp())


class _Seeding:
    def __init__(self, file: CompanyFile, company: Company) -> None:
        self._file, self._company = file, company
        self._rng = random.Random(f"{company.seed}:quickbooks")
        self._born = _noon((company.today - timedelta(days=HISTORY_DAYS + 31)).isoformat())

    def _make(self, name: str, body: dict[str, Any], key: str = "") -> Row:
        return self._file.create(name, body, key=key, at=self._born, quiet=True)

    def frame(self) -> None:
        """The firm, its preferences, accounts, taxes, terms and currencies."""
        file, own = self._file, self._company.own
        address = {"Id": "1", "Line1": own.address, "City": own.city, "Country": "RU"}
        self._make("CompanyInfo", {
            "CompanyName": own.name, "LegalName": own.name, "CompanyAddr": address, "LegalAddr": address,
            "CustomerCommunicationAddr": address, "PrimaryPhone": {"FreeFormNumber": own.phone}, "EmployerId": own.inn,
            "CompanyStartDate": "2014-01-01", "FiscalYearStartMonth": "January", "Country": "RU",
            "Email": {"Address": own.email}, "WebAddr": {}, "SupportedLanguages": "en",
            "NameValue": [{"Name": "NeoEnabled", "Value": "true"}, {"Name": "CompanyType", "Value": "Other"},
                          {"Name": "SubscriptionStatus", "Value": "PAID"}, {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"}],
        }, key="1")  # fmt: skip
        self._make("Preferences", {
            "AccountingInfoPrefs": {"UseAccountNumbers": True, "TrackDepartments": True, "ClassTrackingPerTxn": False,
                                    "ClassTrackingPerTxnLine": False, "FirstMonthOfFiscalYear": "January",
                                    "TaxYearMonth": "January", "CustomerTerminology": "Customers"},
            "ProductAndServicesPrefs": {"ForSales": True, "ForPurchase": True, "QuantityWithPriceAndRate": True, "QuantityOnHand": True},
            "SalesFormsPrefs": {"AllowDeposit": True, "AllowDiscount": True, "DefaultDiscountAccount": "", "AllowEstimates": True,
                                "AutoApplyCredit": False, "AutoApplyPayments": False, "AllowServiceDate": False, "AllowShipping": False,
                                "DefaultTerms": ref("3"),
                                "CustomField": [{"CustomField": [{"Name": "SalesFormsPrefs.SalesCustomName1", "Type": "StringType",
                                                                  "StringValue": "CRM"}]}]},
            "VendorAndPurchasesPrefs": {"TrackingByCustomer": True}, "TimeTrackingPrefs": {"UseServices": True},
            "ReportPrefs": {"ReportBasis": "Accrual", "CalcAgingReportFromTxnDate": False},
            "OtherPrefs": {"NameValue": [{"Name": "SalesFormsPrefs.DefaultCustomerMessage", "Value": ""}]},
        }, key="1")  # fmt: skip
        for code in FOREIGN:
            self._make("CompanyCurrency", {"Name": check.CURRENCIES[code], "Code": code, "Active": True})
        accounts: dict[str, str] = {}
        for use, number, name, kind, subtype in CHART:
            code = use.partition(":")[2] or HOME
            body = {
                "Name": name, "SubAccount": False, "FullyQualifiedName": name, "Active": True, "AcctNum": number,
                "Classification": names.CLASSES[kind], "AccountType": kind, "AccountSubType": subtype, "CurrentBalance": 0,
                "CurrentBalanceWithSubAccounts": 0, "CurrencyRef": check.currency_ref(code),
            }  # fmt: skip
            accounts[use] = self._make("Account", body)["Id"]
            if kind == "Accounts Receivable":
                file.ledger.receivables.add(accounts[use])
        agency = self._make(
            "TaxAgency",
            {"DisplayName": "ФНС России", "TaxTrackedOnSales": True, "TaxTrackedOnPurchases": True},
        )
        for percent, name in TAXES:
            rates = []
            if percent is not None:
                rate = self._make("TaxRate", {"Name": f"VAT {percent}%", "Description": name, "Active": True, "RateValue": percent,
                                              "AgencyRef": ref(agency["Id"]),
                                              "SpecialTaxType": "NONE", "DisplayType": "ReadOnly"})  # fmt: skip
                rates = [
                    {
                        "TaxRateRef": ref(rate["Id"], rate["Name"]),
                        "TaxTypeApplicable": "TaxOnAmount",
                        "TaxOrder": 0,
                    }
                ]
            code_row = self._make("TaxCode", {
                "Name": name, "Description": name, "Active": True, "Hidden": False, "Taxable": percent is not None, "TaxGroup": True,
                "SalesTaxRateList": {"TaxRateDetail": rates}, "PurchaseTaxRateList": {"TaxRateDetail": []},
            })  # fmt: skip
            accounts[f"vat:{'none' if percent is None else percent}"] = code_row["Id"]
        for name, days in (("Due on receipt", 0), ("Net 15", 15), ("Net 30", 30)):
            self._make(
                "Term", {"Name": name, "Active": True, "Type": "STANDARD", "DueDays": days, "DiscountDays": 0}
            )
        for name in ("Cash", "Check", "Bank transfer"):
            self._make("PaymentMethod", {"Name": name, "Active": True, "Type": "NON_CREDIT_CARD"})
        for name in ("Архангельск", "Москва"):
            self._make(
                "Department",
                {"Name": name, "SubDepartment": False, "FullyQualifiedName": name, "Active": True},
            )
        for person in self._company.employees.values():
            shown = f"{person.first_name} {person.last_name}" + ("" if person.active else names.DELETED)
            self._make("Employee", {"GivenName": person.first_name, "FamilyName": person.last_name, "DisplayName": shown,
                                    "PrintOnCheckName": shown, "Active": person.active, "BillableTime": False,
                                    "PrimaryEmailAddr": {"Address": person.email}})  # fmt: skip
        services = self._make("Item", {
            "Name": "Services", "Description": "Services", "Active": True, "FullyQualifiedName": "Services", "Taxable": True,
            "UnitPrice": 0, "Type": "Service", "IncomeAccountRef": ref(accounts["services"], "Services"), "PurchaseCost": 0,
            "TrackQtyOnHand": False, "SubItem": False,
        })  # fmt: skip
        file.settings.put("accounts", {**accounts, "item": services["Id"]})

    def opening(self) -> None:
        """Money in the bank against opening balance equity."""
        accounts = self._file.settings["accounts"]
        day = (self._company.today - timedelta(days=HISTORY_DAYS + 31)).isoformat()
        line = {"DetailType": journal.DETAIL, "Amount": 5_000_000, "Description": "Ввод остатков"}
        sides = (("Debit", accounts["bank"]), ("Credit", accounts["equity"]))
        lines = [
            {**line, journal.DETAIL: {"PostingType": side, "AccountRef": ref(key)}} for side, key in sides
        ]
        self._dated(
            "JournalEntry",
            journal.write(self._file, {"TxnDate": day, "DocNumber": "OPEN", "Line": lines}, None),
        )

    def customers(self) -> None:
        taken: set[str] = set()
        for party in (one for one in self._company.parties.values() if one.known_to_accounting):
            name = party_name(party)
            if name.casefold() in taken:
                name = f"{name} ({party.inn[-4:] or party.city})"
            taken.add(name.casefold())
            row = self._make("Customer", customer_body(party, name, currency_of(party)))
            self._file.books.rows("party").put(row["Id"], {"party": party.id})
            if self._rng.random() < 0.04:
                copy = {
                    **customer_body(party, f"{name} (копия){names.DELETED}", currency_of(party)),
                    "Active": False,
                }
                double = self._make("Customer", copy)
                self._file.act("duplicate", customer=row["Id"], copy=double["Id"], party=party.id)
        for name in SUPPLIERS:
            self._make("Vendor", {"DisplayName": name, "CompanyName": name, "PrintOnCheckName": name, "Active": True, "Balance": 0,
                                  "Vendor1099": False, "CurrencyRef": check.currency_ref(HOME)})  # fmt: skip

    def items(self) -> None:
        accounts = self._file.settings["accounts"]
        day = (self._company.today - timedelta(days=HISTORY_DAYS + 31)).isoformat()
        taken: set[str] = set()
        for product in (one for one in self._company.products.values() if one.known_to_accounting):
            name = product.accounting_name.replace(":", " ")[:100]
            if name.casefold() in taken:
                continue
            taken.add(name.casefold())
            row = names.write(self._file, "Item", item_body(product, name, accounts, day), None)
            self._file.books.rows("product").put(row["Id"], {"product": product.id})
            self._dated("Item", row, self._born)

    def papers(self) -> None:
        """Invoices of before the integration, two of three of them paid."""
        file, today = self._file, self._company.today
        people = [
            row
            for row in file.shelves["Customer"].rows.values()
            if row["Active"] and row["CurrencyRef"]["value"] == HOME
        ]
        goods = [row for row in file.shelves["Item"].rows.values() if row["Type"] == "Inventory"]
        for number in range(min(OLD_DOCUMENTS, len(people)) if goods else 0):
            customer, item = (
                people[number * len(people) // OLD_DOCUMENTS % len(people)],
                goods[number % len(goods)],
            )
            day = today - timedelta(days=HISTORY_DAYS - number)
            invoice = sales.write(
                file, "Invoice", sale_body(file, customer["Id"], day, [(item, Decimal(number % 5 + 1))]), None
            )
            self._dated("Invoice", invoice)
            paid = number % 3 != 0
            if paid:
                later = day + timedelta(days=9)
                lines = [
                    {
                        "Amount": invoice["TotalAmt"],
                        "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}],
                    }
                ]
                body = {"CustomerRef": ref(customer["Id"]), "TotalAmt": invoice["TotalAmt"], "TxnDate": later.isoformat(), "Line": lines,
                        "DepositToAccountRef": ref(file.settings["accounts"]["bank"])}  # fmt: skip
                self._dated("Payment", payments.write(file, body, None))
                self._dated("Invoice", file.shelves["Invoice"].rows[invoice["Id"]], _noon(later.isoformat()))
            file.act(
                "foreign",
                kind="Invoice",
                document=invoice["Id"],
                date=day.isoformat(),
                amount=str(invoice["TotalAmt"]),
                paid=paid,
            )
        for customer in people:
            self._dated("Customer", file.shelves["Customer"].rows[customer["Id"]], self._born)

    def drifts(self) -> None:
        """Items whose price somebody changed here and nowhere else; there is one list alone."""
        keys = {row["product"]: key for key, row in self._file.books.rows("product").items()}
        for drift in prices.drifts(self._company):
            if drift.price_list == prices.RETAIL and drift.product in keys:
                row = self._file.shelves["Item"].rows[keys[drift.product]]
                row = self._file.change("Item", {**row, "UnitPrice": plain(drift.accounting)})
                self._dated("Item", row, _noon(drift.since.isoformat()))
                told = {name: value for name, value in drift.told(self._company).items() if name != "act"}
                self._file.act("price_drift", document=row["Id"], **told)

    def _dated(self, name: str, row: Row, at: int | None = None) -> None:
        """Let a seeded record look as if it had been written on its day."""
        from sandbox.accounting.quickbooks.values import moment

        stamp = moment(at if at is not None else _noon(row["TxnDate"]))
        created = min(row["MetaData"]["CreateTime"], stamp)
        row = {**row, "MetaData": {"CreateTime": created, "LastUpdatedTime": stamp}}
        self._file.shelves[name].put(row)


def customer_body(party: Party, name: str, currency: str) -> Row:
    marks = [
        f"{mark} {value}"
        for mark, value in (("ИНН", party.inn), ("КПП", party.kpp), ("ОГРН", party.ogrn))
        if value
    ]
    body: Row = {
        "Taxable": True, "Job": False, "BillWithParent": False, "Balance": 0, "BalanceWithJobs": 0,
        "CurrencyRef": check.currency_ref(currency), "PreferredDeliveryMethod": "Print", "FullyQualifiedName": name,
        "CompanyName": party.name[:100], "DisplayName": name, "PrintOnCheckName": party.name[:110], "Active": True,
        "PrimaryPhone": {"FreeFormNumber": party.phone}, "PrimaryEmailAddr": {"Address": party.email},
        "BillAddr": {"Line1": party.address, "City": party.city, "Country": party.country},
    }  # fmt: skip
    if party.inn:
        body |= {"ResaleNum": party.inn, "PrimaryTaxIdentifier": "X" * (len(party.inn) - 4) + party.inn[-4:]}
    return {**body, "Notes": "; ".join(marks)} if marks else body


def item_body(product: Product, name: str, accounts: Row, day: str) -> Row:
    body: Row = {
        "Name": name, "Sku": product.code, "Description": f"{product.accounting_name}, {product.unit}", "Active": True,
        "UnitPrice": plain(product.price), "SalesTaxIncluded": True, "Taxable": True,
        "SalesTaxCodeRef": ref(accounts[f"vat:{product.vat_rate}"]),
        "IncomeAccountRef": ref(accounts["services" if product.is_service else "income"]),
    }  # fmt: skip
    if product.is_service:
        return {**body, "Type": "Service"}
    cost = cents(product.price * 70 / 122)
    return {
        **body, "Type": "Inventory", "TrackQtyOnHand": True, "QtyOnHand": STOCK, "InvStartDate": day, "PurchaseCost": plain(cost),
        "ExpenseAccountRef": ref(accounts["cost"]), "AssetAccountRef": ref(accounts["stock"]),
    }  # fmt: skip


def sale_body(file: CompanyFile, customer: str, day: date, goods: Iterable[tuple[Row, Decimal]]) -> Row:
    """An invoice as a person enters it: net prices, the tax of the day."""
    accounts = file.settings["accounts"]
    code = accounts[f"vat:{main_vat_rate(day)}"]
    lines = []
    for item, quantity in goods:
        price = cents(Decimal(str(item["UnitPrice"])) / (1 + Decimal(main_vat_rate(day)) / 100))
        detail = {"ItemRef": ref(item["Id"]), "Qty": quantity, "UnitPrice": price, "TaxCodeRef": ref(code)}
        lines.append(
            {
                "Amount": cents(price * quantity),
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": detail,
            }
        )
    return {
        "CustomerRef": ref(customer),
        "TxnDate": day.isoformat(),
        "GlobalTaxCalculation": "TaxExcluded",
        "Line": lines,
    }
