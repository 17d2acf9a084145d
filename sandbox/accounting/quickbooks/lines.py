"""Lines, taxes and totals of a sales form, recomputed by the service whatever the client says.

In the global edition each line names a tax code and taxes are computed on the sum of each rate
(GlobalTaxCalculation TaxExcluded, TaxInclusive or NotApplicable); in the US edition a line is TAX or NON and
the rate is the company's. Sums are half up to cents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import fault
from sandbox.accounting.quickbooks.check import amount_of, reference_to, referred
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.values import Row, cents, id_of, number, plain, ref, shown

CALCULATIONS: Final = ("TaxExcluded", "TaxInclusive", "NotApplicable")
SALES_LINE, SUBTOTAL, DISCOUNT, TEXT_LINE = (
    "SalesItemLineDetail", "SubTotalLineDetail", "DiscountLineDetail", "DescriptionOnly",
)  # fmt: skip
MOST_LINES: Final = 750


@dataclass(slots=True)
class Sold:
    """One line as it is posted: net of tax."""

    item: Row
    net: Decimal
    quantity: Decimal


@dataclass(slots=True)
class Totals:
    """What a form adds up to; `rates` is net and tax by id of the tax rate."""

    sold: list[Sold] = field(default_factory=list)
    subtotal: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    rates: dict[str, list[Decimal]] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.discount + self.tax


def total_up(file: CompanyFile, row: Row, old: Row | None) -> Totals:
    """Check the lines of a form, write them anew with taxes and totals, and say what they are. Raises Refused."""
    said = row.get("Line")
    if not isinstance(said, list) or not said:
        raise fault.missing("Line")
    if len(said) > MOST_LINES:
        raise fault.business(f"A transaction can have at most {MOST_LINES} lines.")
    before = {line.get("Id"): line for line in (old or {}).get("Line", ()) if line.get("Id")}
    form = _Form(file, row, before)
    for line in said:
        form.read(line)
    if not form.written:
        raise fault.missing("Line")
    return form.finish()


class _Form:
    def __init__(self, file: CompanyFile, row: Row, before: dict[Any, Row]) -> None:
        self._file, self._row, self._before = file, row, before
        self._us = file.options.edition == "us"
        self._last = max((int(key) for key in before if str(key).isdigit()), default=0)
        self.written: list[Row] = []
        self._discounts: list[Row] = []
        self._totals = Totals()
        self._taxed: dict[str, Decimal] = {}  # net by rate
        self._given: dict[str, Decimal] = {}  # tax by rate where lines say their gross
        way = row.get("GlobalTaxCalculation")
        if self._us:
            row.pop("GlobalTaxCalculation", None)
            way = "TaxExcluded"
        elif way is None:
            row["GlobalTaxCalculation"] = way = "TaxExcluded"
        elif way not in CALCULATIONS:
            raise fault.Refused(
                "2170", "Invalid Enumeration", f"Invalid Enumeration : {way}", "GlobalTaxCalculation"
            )
        self._way = str(way)

    def read(self, line: Any) -> None:
        kind = line.get("DetailType") if isinstance(line, dict) else None
        if not kind:
            raise fault.missing("Line.DetailType")
        if kind == SUBTOTAL:
            return
        if kind == SALES_LINE:
            self._sale(line)
        elif kind == DISCOUNT:
            self._discounts.append(line)
        elif kind == TEXT_LINE:
            text: Row = {**self._numbered(line), "DetailType": TEXT_LINE, "DescriptionLineDetail": {}}
            self.written.append(_ordered({**text, "Description": line.get("Description")}))
        else:
            raise fault.Refused("2170", "Invalid Enumeration", f"Invalid Enumeration : {kind}", "DetailType")

    def _numbered(self, line: Row) -> Row:
        key = str(line.get("Id") or "")
        if key not in self._before:
            self._last += 1
            key = str(self._last)
        return {"Id": key, "LineNum": len(self.written) + 1}

    def _sale(self, line: Row) -> None:
        detail = dict(line.get(SALES_LINE) or {})
        amount = amount_of(line, "Amount", "Line.Amount")
        if amount is None:
            raise fault.missing("Line.Amount")
        amount = cents(amount)
        before = self._before.get(str(line.get("Id") or ""), {}).get(SALES_LINE, {})
        item = self._item(detail, before)
        price, quantity = amount_of(detail, "UnitPrice"), amount_of(detail, "Qty")
        if price is not None and quantity is not None and cents(price * quantity) != amount:
            text = f"Amount is not equal to UnitPrice * Qty. Supplied value:{plain(amount):,}"
            raise fault.Refused("6070", "Amount calculation incorrect in the request.", text, "Line.Amount")
        rate = self._tax_rate(detail, before)
        gross = amount_of(detail, "TaxInclusiveAmt")
        net = amount
        if self._way == "TaxInclusive" and rate is not None:
            percent = Decimal(str(rate["RateValue"]))
            if self._file.options.tax_inclusive == "gross" and gross is None:
                gross, net = amount, cents(amount * 100 / (100 + percent))
                if quantity:
                    detail["UnitPrice"] = plain((net / quantity).quantize(Decimal("0.0000001")))
            elif gross is None:
                gross = net + cents(net * percent / 100)
            detail["TaxInclusiveAmt"] = shown(cents(gross))
            self._given[rate["Id"]] = self._given.get(rate["Id"], Decimal(0)) + cents(gross) - net
        else:
            detail.pop("TaxInclusiveAmt", None)
        if rate is not None:
            self._taxed[rate["Id"]] = self._taxed.get(rate["Id"], Decimal(0)) + net
        for name in ("UnitPrice", "Qty"):
            if (found := number(detail.get(name))) is not None:
                detail[name] = plain(found)
        for name, kind in (("ClassRef", "Class"),):
            if name in detail:
                detail[name] = reference_to(
                    kind, referred(self._file, kind, detail[name], old=before.get(name))
                )
        detail["ItemRef"] = reference_to("Item", item)
        written = {**self._numbered(line), "Description": line.get("Description"), "Amount": shown(net),
                   "DetailType": SALES_LINE, SALES_LINE: detail}  # fmt: skip
        self.written.append(_ordered(written))
        self._totals.sold.append(Sold(item, net, quantity if quantity is not None else Decimal(1)))
        self._totals.subtotal += net

    def _item(self, detail: Row, before: Row) -> Row:
        if "ItemRef" not in detail:
            default = self._file.settings["accounts"].get("item", "")
            if not default:
                raise fault.missing("ItemRef")
            detail["ItemRef"] = ref(default)
        item = referred(self._file, "Item", detail["ItemRef"], old=before.get("ItemRef"))
        if item["Type"] == "Inventory" and self._row["TxnDate"] < item["InvStartDate"]:
            text = (
                "Transactions with inventory items can't be dated earlier than the item's InventoryStartDate."
            )
            raise fault.Refused("6270", "InventoryTxnDatedBeforeItemStartDate", text, "TxnDate")
        if item["Type"] == "Category":
            raise fault.Refused("2120", "Invalid Type", "Invalid Type : a category cannot be sold", "ItemRef")
        return item

    def _tax_rate(self, detail: Row, before: Row) -> Row | None:
        """The rate that taxes a line, None where none does."""
        code = id_of(detail.get("TaxCodeRef"))
        if self._us:
            code = code or "NON"
            if code not in ("TAX", "NON"):
                text = (
                    f"Invalid Line TaxCode in the request : For US, specify TAX or NON. Supplied value:{code}"
                )
                raise fault.Refused("6100", "Invalid Line TaxCode in the request", text, "TaxCodeRef")
            detail["TaxCodeRef"] = ref(code)
            return (
                self._file.get("TaxRate", self._file.settings["accounts"]["us_rate"])
                if code == "TAX"
                else None
            )
        if self._way == "NotApplicable":
            detail.pop("TaxCodeRef", None)
            return None
        if not code:
            raise fault.business("Make sure all your transactions have a VAT rate before you save.")
        found = referred(self._file, "TaxCode", detail["TaxCodeRef"], old=before.get("TaxCodeRef"))
        detail["TaxCodeRef"] = ref(found["Id"])
        rates = (found.get("SalesTaxRateList") or {}).get("TaxRateDetail") or []
        return self._file.get("TaxRate", id_of(rates[0]["TaxRateRef"])) if rates else None

    def finish(self) -> Totals:
        totals, row = self._totals, self._row
        lines = [*self.written, {"Amount": shown(totals.subtotal), "DetailType": SUBTOTAL, SUBTOTAL: {}}]
        lines += [self._discount(line) for line in self._discounts]
        after = row.get("ApplyTaxAfterDiscount") is True and totals.subtotal
        share = (totals.subtotal - totals.discount) / totals.subtotal if after else Decimal(1)
        said = self._overridden()
        for key, net in self._taxed.items():
            percent = Decimal(str(self._file.shelves["TaxRate"].rows[key]["RateValue"]))
            base = cents(net * share)
            tax = said.get(key, self._given.get(key) if not after else None)
            totals.rates[key] = [base, cents(base * percent / 100) if tax is None else tax]
        totals.tax = sum((tax for _, tax in totals.rates.values()), Decimal(0))
        if totals.total < 0:
            raise fault.business("Transaction amount must be 0 or greater.")
        row["Line"] = lines
        row["TxnTaxDetail"] = self._tax_detail()
        row["TotalAmt"] = shown(totals.total)
        return totals

    def _discount(self, line: Row) -> Row:
        detail = dict(line.get(DISCOUNT) or {})
        percent, amount = amount_of(detail, "DiscountPercent"), amount_of(line, "Amount")
        if detail.get("PercentBased") is True and percent is not None:
            amount = cents(self._totals.subtotal * percent / 100)
            detail["DiscountPercent"] = plain(percent)
        if amount is None:
            text = "Discount Line missing required info : A discount amount or percent is required."
            raise fault.Refused("6090", "Discount Line missing required info", text, "DiscountLineDetail")
        account = detail.get("DiscountAccountRef") or ref(self._file.settings["accounts"]["discount"])
        detail["DiscountAccountRef"] = reference_to("Account", referred(self._file, "Account", account))
        detail.setdefault("PercentBased", False)
        self._totals.discount += cents(amount)
        return {"Amount": shown(cents(amount)), "DetailType": DISCOUNT, DISCOUNT: detail}

    def _overridden(self) -> dict[str, Decimal]:
        """Taxes by rate that the client sends itself; those for other rates than the lines' are refused."""
        if self._us or not self._file.options.tax_override:
            return {}
        found: dict[str, Decimal] = {}
        for line in (self._row.get("TxnTaxDetail") or {}).get("TaxLine") or []:
            key = id_of((line.get("TaxLineDetail") or {}).get("TaxRateRef"))
            amount = amount_of(line, "Amount", "TaxLine.Amount")
            if amount is None or not key:
                continue
            if key not in self._taxed:
                raise fault.business(
                    "The tax rate of a tax line is not that of any line of the transaction.", "TaxLine"
                )
            found[key] = found.get(key, Decimal(0)) + cents(amount)
        return found

    def _tax_detail(self) -> Row:
        detail: Row = {"TotalTax": shown(self._totals.tax)}
        if self._us and self._taxed:
            detail = {"TxnTaxCodeRef": ref("2"), **detail}
        taxes = []
        for key, (net, tax) in self._totals.rates.items():
            percent = plain(Decimal(str(self._file.shelves["TaxRate"].rows[key]["RateValue"])))
            inner = {
                "TaxRateRef": ref(key),
                "PercentBased": True,
                "TaxPercent": percent,
                "NetAmountTaxable": shown(net),
            }
            taxes.append({"Amount": shown(tax), "DetailType": "TaxLineDetail", "TaxLineDetail": inner})
        return {**detail, "TaxLine": taxes} if taxes else detail


def _ordered(line: Row) -> Row:
    return {name: value for name, value in line.items() if value is not None}
