"""What a mapping file says of writing one kind of record: its body, and who may change it after."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mappings.field import Fields, Text
from mappings.section import Section

DocumentState = Literal["draft", "posted", "paid", "closed"]
Part = Literal["date", "due_on", "counterparty", "contract", "currency", "amount", "lines", "comment"]
PolicyField = Literal[Part, "other", "cancelled", "*"]
PolicyAction = Literal["update", "correction", "reversal", "ask", "leave"]
OwnedField = Literal[Part, "name", "code", "tax_number", "kpp", "*"]
FieldOwner = Literal["crm", "accounting", "state"]


class LinesRule(Section):
    """The rows of one table part: `into` the vendor's name of it, `when` an expression over the lines."""

    into: str
    when: Text = "true"
    fields: Fields


class Undone(Section):
    """What is done when accounting unposted a document of ours, deleted it, or gave the money for it back."""

    unposted: Literal["post", "ask", "leave"] = "leave"
    deleted: Literal["ask", "leave"] = "leave"
    refunded: Literal["ask", "leave"] = "leave"


class WriteRule(Section):
    """The body of one kind of record. `post`: a document is posted once it was read back equal; `at_once`: it is
    posted by being written. `policy`: by state of a document that accounting holds and by what changed in the CRM,
    what is done. `owner`: whose a field is once it is written (`state`: the CRM's until the document is posted, then
    accounting's). `undone`: what follows when accounting takes something back. See docs/operations.md."""

    entity: str | None = None
    post: bool | Literal["at_once"] = False
    policy: dict[DocumentState, dict[PolicyField, PolicyAction]] = Field(default_factory=dict)
    owner: dict[OwnedField, FieldOwner] = Field(default_factory=dict)
    undone: Undone = Undone()
    fields: Fields
    lines: tuple[LinesRule, ...] = ()
