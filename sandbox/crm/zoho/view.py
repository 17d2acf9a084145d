"""The desk as this CRM sees it: where records come from, and how one record refers to another."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.company.model import kopecks
from sandbox.crm.zoho.ids import source_id, stamp
from sandbox.crm.zoho.orders import DeskRows, OrderRows, Rows
from sandbox.desk.records import Body, Desk, Item

Value = Any
"""A field's value as JSON has it; money and quantities are Decimal."""
CURRENCIES: Final = (
    ("RUB", "Рубль", "₽", "1.000000000"), ("USD", "Доллар США", "$", "80.250000000"),
    ("EUR", "Евро", "€", "93.100000000"), ("CNY", "Юань", "¥", "11.150000000"),
    ("KZT", "Тенге", "₸", "0.155000000"), ("BYN", "Белорусский рубль", "Br", "27.300000000"),
)  # fmt: skip
"""Code, name, sign, and the rate of one unit in the currency of the organisation, which comes first."""
RATES: Final = {code: Decimal(rate) for code, _, _, rate in CURRENCIES}
PAYMENT_DAYS: Final = timedelta(days=30)
"""An open deal is expected to close so long after it began: Closing_Date must not be empty."""


class View:
    """One desk in this CRM's words."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._rows: dict[str, Rows] = {}
        self._users: dict[int, tuple[int, dict[str, str]]] = {}

    def rows(self, entity: str) -> Rows:
        found = self._rows.get(entity)
        if found is None:
            made: Rows = OrderRows(self.desk) if entity == "order" else DeskRows(self.desk, entity)
            found = self._rows[entity] = made
        return found

    # ---- References ---------------------------------------------------------------------------

    def user(self, number: int | None) -> dict[str, str] | None:
        """{"name", "id", "email"} of an employee, also of one who has left."""
        item = self.desk.tables["employee"].get(number) if number else None
        if item is None:
            return None
        known = self._users.get(item.number)
        if known is None or known[0] != item.version:
            name = f"{item.body['first_name']} {item.body['last_name']}"
            shown = {"name": name, "id": source_id("employee", item.number), "email": item.body["email"]}
            known = self._users[item.number] = (item.version, shown)
        return known[1]

    @property
    def integration(self) -> dict[str, str]:
        """The user whose tokens the client holds: {"name", "id"}."""
        found = self.user(1)
        assert found is not None
        return {"name": found["name"], "id": found["id"]}

    def link(self, entity: str, number: int | None) -> dict[str, str] | None:
        """{"name", "id"} of a living record: a lookup on a deleted one shows empty."""
        item = self.desk.get(entity, number) if number else None
        if item is None:
            return None
        return {"name": display_name(entity, item.body), "id": source_id(entity, item.number)}

    def order_link(self, deal: int | None) -> dict[str, str] | None:
        if not deal or self.rows("order").get(deal) is None:
            return None
        return {"name": order_subject(deal), "id": source_id("order", deal)}

    def name_of(self, entity: str, number: int | None) -> str | None:
        item = self.desk.get(entity, number) if number else None
        return item.body["name"] if item is not None else None

    def deal_of(self, item: Item) -> Body:
        """The body of the deal to which an order, an invoice or a line belongs; {} when it is gone."""
        deal = self.desk.get("deal", item.body["deal"])
        return deal.body if deal is not None else {}

    def seal(self, entity: str, item: Item) -> tuple[int, ...]:
        """Grows stale with anything that the record shows: its own version and those of what it names."""
        tables, body = self.desk.tables, item.body
        versions = [item.version]
        if entity in ("order", "invoice"):
            deal = tables["deal"].get(body["deal"])
            if deal is not None:
                versions.append(deal.version)
                body = {**deal.body, **body}
            versions += [line.version for line in self.desk.children("line", item.body["deal"])]
        for name in ("client", "contact", "campaign", "employee", "deal", "stage", "source", "pipeline"):
            number = body.get(name)
            if number is not None:
                found = tables[name].get(number)
                if found is not None:
                    versions.append(found.version)
        return tuple(versions)

    # ---- Rows of inventory records ------------------------------------------------------------

    def line_rows(self, deal: int, kind: str = "line") -> list[dict[str, Value]]:
        """Ordered_Items or Invoiced_Items (`kind` is line or invoice_line) as a single record shows them."""
        lines = sorted(self.desk.children("line", deal), key=lambda item: (item.body["sort"], item.number))
        return [self.line_row(line, place, kind) for place, line in enumerate(lines, start=1)]

    def line_row(self, line: Item, place: int, kind: str = "line") -> dict[str, Value]:
        """One row. Prices stand as typed; tax is added on top only where the price is without VAT, because
        this CRM knows no other way. VAT_Rate and VAT_Included are fields of the organisation's own."""
        body = line.body
        total, after, tax = line_money(body)
        product = self.desk.get("product", body["product"]) if body["product"] else None
        taxes = []
        if not body["vat_included"] and body["vat_rate"]:
            rate = int(body["vat_rate"])
            taxes.append({"id": source_id("tax", rate), "name": f"НДС {rate}%", "display_name": f"НДС {rate}%",
                          "percentage": rate, "value": tax})  # fmt: skip
        parent = source_id("order", body["deal"]) if kind == "line" else self._invoice_of(body["deal"])
        return {
            "id": source_id(kind, line.number),
            "Parent_Id": {"id": parent} if parent else None,
            "Product_Name": None if product is None else {
                "Product_Code": product.body["code"], "name": product.body["name"],
                "id": source_id("product", product.number),
            },
            "Sequence_Number": place,
            "Quantity": body["quantity"],
            "List_Price": body["price"],
            "Total": total,
            "Discount": total - after,
            "Total_After_Discount": after,
            "Line_Tax": taxes,
            "Tax": tax,
            "Net_Total": after + tax,
            "Price_Book_Name": None,
            "Description": body["name"],
            "VAT_Rate": body["vat_rate"],
            "VAT_Included": body["vat_included"],
            "Created_Time": stamp(line.created),
            "Modified_Time": stamp(line.modified),
        }  # fmt: skip

    def line_sum(self, deal: int) -> Decimal:
        """What the deal's rows come to, tax included."""
        sums = (line_money(line.body) for line in self.desk.children("line", deal))
        return sum((after + tax for _, after, tax in sums), Decimal(0))

    def _invoice_of(self, deal: int) -> str | None:
        item = self.desk.get("invoice", deal)
        return source_id("invoice", deal) if item is not None else None


def display_name(entity: str, body: Body) -> str:
    """What a lookup calls a record, and a deleted list too."""
    if entity == "deal":
        return str(body["title"])
    if entity == "contact":
        return " ".join(part for part in (body["first_name"], body["last_name"]) if part)
    if entity == "invoice":
        return f"Счёт {body['number']}"
    if entity in ("task", "call", "meeting"):
        return str(body["text"])
    if entity == "order":
        return order_subject(body["deal"])
    return str(body["name"])


def order_subject(deal: int) -> str:
    return f"Заказ {deal:05d}"


def line_money(body: Body) -> tuple[Decimal, Decimal, Decimal]:
    """Of one row: price times quantity; that after the discount; the tax on top of it."""
    total = kopecks(body["price"] * body["quantity"])
    unit = kopecks(body["price"] * (100 - body["discount"]) / 100)
    after = kopecks(unit * body["quantity"])
    tax = Decimal("0.00") if body["vat_included"] else kopecks(after * body["vat_rate"] / 100)
    return total, after, tax
