"""Whose a field of a written record is: what `owner` and `undone` of a mapping file may say, and which fields of the vendor
follow from each of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from mappings.field import FieldRule
from mappings.schema import SystemFile
from mappings.template import parts
from mappings.write import WriteRule

DOCUMENT_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "date": frozenset({"document_date"}),
    "due_on": frozenset({"due_on"}),
    "counterparty": frozenset({"counterparty_key", "counterparty_id"}),
    "contract": frozenset({"contract_key"}),
    "currency": frozenset({"currency", "currency_key", "rate", "rate_units"}),
    "amount": frozenset({"amount", "vat_amount"}),
    "lines": frozenset({"has_goods", "has_services"}),
    "comment": frozenset({"comment", "title"}),
}
"""By field of a document the columns of documents.document that it stands for; as ops.field_columns."""

MASTER_FIELDS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "counterparty": {
        "name": frozenset({"legal_name", "full_name"}),
        "tax_number": frozenset({"tax_number"}),
        "kpp": frozenset({"kpp"}),
    },
    "product": {"name": frozenset({"name"}), "code": frozenset({"code"})},
    "contract": {"name": frozenset({"name"})},
}
"""By kind and field of a master the columns of its table in `documents`."""

Place = tuple[str | int, ...]


def governed(file: SystemFile, kind: str) -> dict[str, tuple[str, ...]]:
    """By field of ours: the vendor's fields of a body that are made from it, table parts among them."""
    rule = file.write[kind]
    fields = MASTER_FIELDS.get(kind, DOCUMENT_FIELDS)
    found = {
        field: tuple(name for name, made in rule.fields.items() if _columns(made) & columns)
        for field, columns in fields.items()
    }
    if "lines" in found:
        found["lines"] += tuple(part.into for part in rule.lines)
    return found


def owner_of(rule: WriteRule, field: str) -> str | None:
    """Who is named for a field: crm, accounting or state; None where nobody is."""
    named: Mapping[str, str] = {str(name): owner for name, owner in rule.owner.items()}
    return named.get(field, named.get("*"))


def accountings(file: SystemFile, kind: str, is_posted: bool) -> frozenset[str]:
    """The vendor's fields of a body that are accounting's: from the start, or of what is posted (`state`)."""
    if kind not in file.write:
        return frozenset()
    owners = ("accounting", "state") if is_posted else ("accounting",)
    rule = file.write[kind]
    return frozenset(
        name
        for field, names in governed(file, kind).items()
        if owner_of(rule, field) in owners
        for name in names
    )


def owners_problems(kind: str, rule: WriteRule, where: Place) -> Iterator[tuple[Place, str]]:
    """What `owner` and `undone` of one kind say that cannot be, by place."""
    if where[0] != "write":
        if rule.owner or "undone" in rule.model_fields_set:
            yield where, "`owner` and `undone` are of what is written into accounting. Remove them"
        return
    is_master = kind in MASTER_FIELDS
    known = MASTER_FIELDS.get(kind, DOCUMENT_FIELDS)
    for owned, owner in rule.owner.items():
        place = (*where, "owner", owned)
        if owned not in (*known, "*"):
            yield place, f"`{kind}` has no field `{owned}`. There are: {', '.join(known)}, *"
        if owner == "state" and is_master:
            yield place, f"`{kind}` is never posted. Write crm or accounting"
    yield from _undone(kind, rule, where, is_master)
    if is_master:
        return
    if owner_of(rule, "amount") != owner_of(rule, "lines"):
        yield (*where, "owner"), "`amount` is the sum of `lines`: they change together. Give both one owner"
    for state, actions in rule.policy.items():
        for field, action in actions.items():
            owner_then = owner_of(rule, field)
            is_accountings = owner_then == "accounting" or (owner_then == "state" and state != "draft")
            if field in DOCUMENT_FIELDS and is_accountings and action != "leave":
                message = f"`{field}` is accounting's by then (`owner`): what the CRM makes of it is left"
                yield (*where, "policy", state, field), f"{message}. Write leave, or name another owner"


def _undone(kind: str, rule: WriteRule, where: Place, is_master: bool) -> Iterator[tuple[Place, str]]:
    if "undone" not in rule.model_fields_set:
        return
    if is_master:
        yield (*where, "undone"), f"`{kind}` is neither posted nor paid. Remove it"
    elif rule.undone.unposted != "leave" and rule.post is not True:
        yield (*where, "undone", "unposted"), f"`{kind}` is not posted (`post`). Remove it"


def _columns(field: FieldRule) -> frozenset[str]:
    """Our columns that a vendor's field is made from."""
    if field.expression is not None:
        from sqlglot import exp

        from mappings.expression import read_expression

        return frozenset(c.name for c in read_expression(field.expression, None).find_all(exp.Column))
    if field.template is not None:
        return frozenset(text.removeprefix("/") for text, named in parts(field.template) if named)
    return frozenset(name.removeprefix("/") for name in field.from_)
