"""What a mapping file may say: one pydantic model a section. Unknown keys are errors everywhere."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mappings.buyers import Buyers
from mappings.field import (
    Conditions,
    DateStyle,
    FieldForm,
    Fields,
    NumberStyle,
    Text,
    TextMap,
    Texts,
    listed,
)
from mappings.goods import Goods
from mappings.money import Amounts, Money
from mappings.sales import Sales
from mappings.section import Section
from mappings.write import WriteRule

DocumentKind = Literal["order", "invoice", "realization", "vat_invoice"]
"""Documents that a stage may call for. A correction and a return follow from what becomes of a realization."""

Outcome = Literal["open", "won", "lost"]


class IgnoreRule(Section):
    """Records that are left out when all conditions hold; counted under the rule's name, never lost."""

    rule: str
    when: Conditions
    why: str

    @field_validator("rule")
    @classmethod
    def _name(cls, value: str) -> str:
        if not value.replace("_", "").isalnum():
            raise ValueError("a rule's name is a word: letters, digits, _. Rename it")
        return value


class ParentRule(Section):
    """The record this one belongs to: by `raw.parent_id`, or by a value of its own."""

    ref: str
    from_: Texts = Field((), alias="from")


class Join(Section):
    """Another raw record of the same system to read from as `@name.path`.

    `key`: the record whose id is that value here; `on: {their path: our path}`: the first record, by id,
    where the two are equal.
    """

    entity: str
    key: str | None = None
    on: TextMap = Field(default_factory=dict)
    where: TextMap = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> Join:
        if (self.key is None) == (not self.on) or len(self.on) > 1:
            raise ValueError(
                "a join has either `key: path` or `on: {their path: our path}`. Give one of them"
            )
        if self.where and self.key is not None:
            raise ValueError("`where` chooses among several records. Use it beside `on`, or drop it")
        return self

    @property
    def theirs(self) -> str:
        """The path in the joined record that is compared."""
        return next(iter(self.on))

    @property
    def ours(self) -> str:
        """The path in our record that it is compared with."""
        return self.key if self.key is not None else str(self.on[self.theirs])


class ReadRule(Section):
    """How one entity of the source fills one table. See docs/mappings.md."""

    from_: str | None = Field(None, alias="from")
    rows: tuple[dict[str, Any], ...] | None = None
    fields: Fields = Field(default_factory=dict)
    ignore: tuple[IgnoreRule, ...] = ()
    parent: ParentRule | None = None
    each: str | None = None
    key: FieldForm | None = None
    part: str | None = None
    deleted: FieldForm | None = None
    join: dict[str, Join] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> ReadRule:
        if (self.from_ is None) == (self.rows is None):
            raise ValueError(
                "a read has either `from` (an entity) or `rows` (written out here). Give one of them"
            )
        if self.rows is not None and self.model_fields_set - {"rows"}:
            raise ValueError("`rows` stand alone. Drop what is beside them")
        if self.from_ is not None and not self.fields:
            raise ValueError("`fields` is missing. Say what fills the columns")
        if self.part is not None and self.each is None:
            raise ValueError("`part` names the rows of `each`. Add `each`, or drop it")
        if self.each is not None and self.parent is not None and not self.parent.from_:
            raise ValueError("rows of `each` belong to their own record. Drop `parent`, or add `from` to it")
        if self.key is not None and self.key.source not in ("from", "parent"):
            raise ValueError("`key` is a path, a list of paths, or `parent: true`. Choose one")
        return self


class StageRule(Section):
    """Which documents a deal owes in a stage. The first rule that fits decides."""

    pipeline: Texts = ("*",)
    stage: Texts = ("*",)
    outcome: Outcome | None = None
    documents: tuple[DocumentKind, ...] = ()
    due_days: int | None = Field(None, ge=0, le=3650)
    ignore: bool = False
    why: str | None = None
    from_: date | None = Field(None, alias="from")
    to: date | None = None

    @model_validator(mode="after")
    def _decides(self) -> StageRule:
        if self.ignore and self.documents:
            raise ValueError("a stage that is ignored owes no documents. Drop one of `ignore`, `documents`")
        if not self.ignore and "documents" not in self.model_fields_set:
            raise ValueError("nothing is decided. Add `documents: [...]` ([] means none), or `ignore: true`")
        if self.ignore and not self.why:
            raise ValueError("`why` is missing. Say in a sentence why these deals are left out")
        _ordered(self.from_, self.to)
        return self


def _ordered(start: date | None, end: date | None) -> None:
    if start and end and start > end:
        raise ValueError("`from` is after `to`. Exchange them")


class Dated(Section):
    """In force from the first to the last day, both included; open where not given."""

    from_: date | None = Field(None, alias="from")
    to: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Dated:
        _ordered(self.from_, self.to)
        return self


class Alias(Dated):
    """A product's name in the CRM and its name in accounting."""

    name: Text
    is_: Text = Field(alias="is")


class Products(Section):
    """Of a CRM: whether accounting may be given a product it lacks, and by what one is recognised, in this order."""

    create: bool = True
    match: tuple[Literal["code", "name"], ...] = ("code", "name")
    aliases: tuple[Alias, ...] = ()


class Unit(Section):
    """Spellings of a unit of measure and its code in accounting (OKEI in 1C)."""

    name: Texts
    code: Text


class VatRate(Dated):
    """`rate` in percent, null for "without VAT"; `value` is accounting's own word for it."""

    rate: Decimal | None
    value: Text


class Currency(Section):
    """An ISO 4217 code and accounting's own for it."""

    code: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    value: Text


class TaxNumbers(Section):
    """Of a CRM: the countries (ISO 3166 alpha-2) whose counterparties must have a valid tax number."""

    demanded_for: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ()


Degree = Annotated[int, Field(strict=True, ge=0, le=100)]


class Trust(Section):
    """By column of core.client how far a CRM's values are trusted; `*` stands for all that are not named."""

    name: Degree | None = None
    country: Degree | None = None
    city: Degree | None = None
    address: Degree | None = None
    phone: Degree | None = None
    email: Degree | None = None
    employee_id: Degree | None = None
    others: Degree = Field(1, alias="*")


class Clients(Section):
    """Of a CRM: where its records and others are one client, the value that is trusted more wins; among equals, of the
    fields in `complete`, a value of this CRM that says the same and more; then that of the record changed last, then of
    the one known longest. An empty value never wins."""

    trust: Trust = Trust()
    complete: tuple[Literal["name", "city", "address"], ...] = ()


class PriceMatch(Section):
    """Of a CRM: a price list of it (its base price where left out) and the price type of accounting that it has to agree
    with (the base one). `adds_vat`: the CRM's prices include VAT and accounting's do not; see docs/reconciliation.md."""

    list_: Text | None = Field(None, alias="list")
    type_: Text | None = Field(None, alias="type")
    adds_vat: bool = False


class Organization(Section):
    """Our own legal entity in accounting, by its INN."""

    tax_number: Text


class Defaults(Section):
    """Of accounting: the name of a contract that we create, the code of the unit where a product has none."""

    contract: Text | None = None
    unit: Text | None = None


class Reconcile(Section):
    """`rounding_up_to`: up to what difference, in accounting's currency, a variance counts as one of rounding.
    `settlement_accounts`: the codes of the accounts on which buyers' debts and advances stand. `cost_accounts`: those of
    the cost of sales, with the accounts below them ("90.02" is "90.02.1" too)."""

    rounding_up_to: Decimal = Field(Decimal("0.05"), ge=0, le=1)
    settlement_accounts: tuple[Text, ...] = ("62.01", "62.02")
    cost_accounts: tuple[Text, ...] = ("90.02",)


class Gate(Section):
    """When a batch is broken: a larger share newly held (0 to 1) of at least so many deals; 0 is any number."""

    max_held_share: Decimal = Field(Decimal("0.5"), ge=0, le=1)
    min_batch: int = Field(20, ge=0)


class Approval(Section):
    """Documents up to a sum, in accounting's currency, go by themselves; a person lets go what is larger."""

    auto_up_to: Decimal = Field(ge=0)


class Formats(Section):
    """How numbers and dates are written where a field does not say otherwise; see docs/mappings.md."""

    numbers: NumberStyle = "auto"
    dates: DateStyle = "iso"


Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,30}$")]


class SystemFile(Section):
    """One mapping file."""

    system: Name
    connector: Name
    role: Literal["crm", "accounting"]
    title: Text
    owner: Text = ""
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "RU"
    timezone: str = "UTC"
    connection: dict[str, Any] = Field(default_factory=dict, repr=False)
    # Seconds beyond its interval after which it counts as behind. Said in the connection, but no connector's concern.
    behind_after: int | None = Field(None, ge=60, le=30 * 86400)
    formats: Formats = Formats()
    notes: tuple[str, ...] = ()  # sentences for whoever signs the mapping document
    read: dict[str, Annotated[tuple[ReadRule, ...], BeforeValidator(listed)]] = Field(default_factory=dict)
    stages: tuple[StageRule, ...] = ()
    products: Products = Products()
    units: tuple[Unit, ...] = ()
    vat: tuple[VatRate, ...] = ()
    currencies: tuple[Currency, ...] = ()
    tax_numbers: TaxNumbers = TaxNumbers()
    clients: Clients = Clients()  # of a CRM
    prices: tuple[PriceMatch, ...] = ()  # of a CRM
    organization: Organization | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "RUB"  # accounting's own
    defaults: Defaults = Defaults()
    reconcile: Reconcile = Reconcile()
    # Of accounting: documents that it makes by itself, and that deals call for all the same (billing in SAP).
    expects: tuple[DocumentKind, ...] = ()
    # Of accounting: documents that it has none of, with the reason; where a deal owes one, nothing is lacking.
    without: dict[DocumentKind, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    # Of accounting: whether the records that we write bear keys of our choosing, or numbers that the system gives.
    keys: Literal["ours", "theirs"] = "ours"
    approval: Literal["auto", "manual"] | Approval = "auto"  # accounting: whether a person lets operations go
    amounts: Amounts = Amounts()  # of a CRM
    money: Money = Money()  # of accounting
    goods: Goods = Goods()  # of accounting
    sales: Sales = Sales()  # of accounting
    buyers: Buyers = Buyers()  # of accounting
    gate: Gate = Gate()
    write: dict[str, WriteRule] = Field(default_factory=dict)
    feedback: dict[str, WriteRule] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _not_the_connectors(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("connection"), dict):
            return values
        connection = dict(values["connection"])
        if "behind_after" not in connection:
            return values
        return {**values, "connection": connection, "behind_after": connection.pop("behind_after")}

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no IANA time zone. Write it like Europe/Moscow") from None
        return value
