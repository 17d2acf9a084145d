"""The rule of one value in a mapping file: where it comes from, and what is done with it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mappings.section import Section

Kind = Literal["text", "integer", "money", "quantity", "number", "date", "time", "boolean", "key"]
Clean = Literal[
    "phone", "email", "tax_number", "kpp", "ogrn", "legal_name", "legal_name_key", "person_name", "address"
]  # fmt: skip
NumberStyle = Literal["auto", "ru", "en"]
DateStyle = Literal["auto", "iso", "ru", "en"]

SOURCES_OF_A_VALUE = (
    "from",
    "constant",
    "parent",
    "expression",
    "template",
    "account",
    "warehouse",
    "choose",
)


def _text(value: Any) -> Any:
    """Numbers and booleans as the file shows them: stage: 1 and stage: "1" are one thing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, Decimal, date)) else value


def _texts(value: Any) -> Any:
    return [_text(v) for v in value] if isinstance(value, list) else [_text(value)]


def _text_map(value: Any) -> Any:
    return {_text(k): _text(v) for k, v in value.items()} if isinstance(value, dict) else value


def _short(value: Any) -> Any:
    """A plain string is `{from: it}`."""
    return {"from": value} if isinstance(value, (str, int, list)) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
TextMap = Annotated[dict[str, str | None], BeforeValidator(_text_map)]


def listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Condition(Section):
    """A test of one value. Comparisons of text ignore case, except `equals`."""

    from_: Texts = Field(alias="from")
    equals: Texts | None = None
    not_equals: Texts | None = None
    starts_with: Texts | None = None
    not_starts_with: Texts | None = None
    contains: Texts | None = None
    empty: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        if len(self.model_fields_set) != 2:
            raise ValueError(
                "a condition has `from` and one test: equals, not_equals, starts_with, not_starts_with,"
                " contains or empty. Give one"
            )
        return self


Conditions = Annotated[tuple[Condition, ...], BeforeValidator(listed)]
"""All of them must hold."""


class Choice(Section):
    """A value for the records that a condition fits."""

    when: Conditions
    value: Text | None


class FieldRule(Section):
    """Where one value comes from and what is done with it."""

    from_: Texts = Field((), alias="from")
    as_: Kind | None = Field(None, alias="as")
    clean: Clean | None = None
    ref: str | None = None
    none: Texts = ()
    map: TextMap | None = None
    otherwise: Text | None = None
    unlisted: Literal["problem", "keep"] = "problem"
    numbers: NumberStyle | None = None
    dates: DateStyle | None = None
    required: bool = False
    constant: str | int | Decimal | bool | date | None = None
    parent: bool = False
    expression: str | None = None
    template: str | None = None
    account: Text | None = None
    warehouse: Text | None = None
    choose: tuple[Choice, ...] = ()
    empty: str | int | Decimal | bool | None = None

    @model_validator(mode="after")
    def _one_source(self) -> FieldRule:
        said = self.model_fields_set
        named = [n for n in SOURCES_OF_A_VALUE if ("from_" if n == "from" else n) in said]
        if len(named) != 1:
            what = (
                f"`{'` and `'.join(named)}` stand side by side"
                if named
                else "nothing says where the value comes from"
            )
            raise ValueError(f"{what}. Give exactly one of {', '.join(SOURCES_OF_A_VALUE)}")
        if "from" in named and not self.from_:
            raise ValueError("`from` names no path. Name a key of the record")
        if "choose" in named and said & {"clean", "none", "map"}:
            raise ValueError("`choose` gives its own values. Drop clean, none and map beside it")
        if named[0] not in ("from", "choose") and said & {
            "clean",
            "ref",
            "none",
            "map",
            "numbers",
            "dates",
            "required",
        }:
            raise ValueError(
                f"`{named[0]}` takes no reading rules. Keep clean, ref, none, map ... for `from`"
            )
        if self.clean and said & {"as_", "ref"}:
            raise ValueError("`clean` decides the form of the value. Drop `as` and `ref` beside it")
        if self.ref and self.as_ not in (None, "text", "key"):
            raise ValueError("`ref` gives a key. Drop `as` beside it")
        if "otherwise" in said and self.map is None and not self.choose:
            raise ValueError("`otherwise` without `map` or `choose`. Add one, or drop it")
        if "unlisted" in said and (self.map is None or "otherwise" in said):
            raise ValueError(
                "`unlisted` says what becomes of values that `map` lacks. Use it beside `map` alone"
            )
        return self

    @property
    def has_otherwise(self) -> bool:
        """Whether `otherwise` is said at all: null is a value of it."""
        return "otherwise" in self.model_fields_set

    @property
    def has_empty(self) -> bool:
        """Whether `empty` is said at all: null is a value of it."""
        return "empty" in self.model_fields_set

    @property
    def source(self) -> str:
        """Which of SOURCES_OF_A_VALUE it is."""
        said = self.model_fields_set
        return next(n for n in SOURCES_OF_A_VALUE if ("from_" if n == "from" else n) in said)


FieldForm = Annotated[FieldRule, BeforeValidator(_short)]
Fields = dict[str, FieldForm]
