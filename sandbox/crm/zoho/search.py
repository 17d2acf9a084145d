"""The search: criteria, an e-mail address, a phone number or a word, and the first 2,000 rows that match."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final, NoReturn

from sandbox.crm.zoho.conditions import Test, column_of, condition, read_value
from sandbox.crm.zoho.gate import Answer, Call, Portal, Refused
from sandbox.crm.zoho.lists import PAGED_ROWS, PER_PAGE, chosen_fields, paged, whole
from sandbox.crm.zoho.modules import Module
from sandbox.crm.zoho.view import View
from sandbox.desk.records import Item

SEARCH_CONDITIONS: Final = 10
KINDS: Final = {"email": ("email",), "phone": ("phone",), "word": ("text", "email", "phone", "textarea")}


def search(portal: Portal, call: Call, name: str) -> Answer:
    """GET /{module}/search. Without `fields` every field is given, rows never."""
    module, params, view = portal.module(name), call.params, portal.view
    if params.get("fields"):
        chosen = chosen_fields(module, params["fields"], lists=True)
    else:
        chosen = [one for one in module.fields if one.kind != "subform"]
    by = next((one for one in ("criteria", *KINDS) if params.get(one)), None)
    if by is None:
        raise Refused(
            400,
            "REQUIRED_PARAM_MISSING",
            "One of the expected parameter is missing",
            {"param_name": "criteria"},
        )
    test = _Criteria(module, params[by]).test() if by == "criteria" else _spelled(module, by, params[by])
    page, per_page = whole(params, "page", 1, None), whole(params, "per_page", PER_PAGE, PER_PAGE)
    if page * per_page > PAGED_ROWS:
        raise Refused(
            400, "LIMIT_REACHED", "Only the first 2000 records can be searched", {"limit": PAGED_ROWS}
        )
    items = reversed(view.rows(module.entity).ordered("number"))
    found = list(islice((item for item in items if test(view, item)), PAGED_ROWS))
    return paged(call, "data", [{one.name: one.get(view, item) for one in chosen} for item in found])


def _spelled(module: Module, by: str, said: str) -> Test:
    """A test of every field of the kind: equal to an address or number, containing a word."""
    wanted, looked = said.casefold(), [one for one in module.fields if one.kind in KINDS[by]]

    def test(view: View, item: Item) -> bool:
        values = [str(one.get(view, item) or "").casefold() for one in looked]
        return any(wanted in value if by == "word" else wanted == value for value in values)

    return test


class _Criteria:
    """`((Stage:equals:Won)and(Amount:greater_than:5))` of the search."""

    WORDS: Final = {"equals": "=", "not_equal": "!=", "greater_than": ">", "greater_equal": ">=", "less_than": "<",
                    "less_equal": "<=", "starts_with": "like", "in": "in", "between": "between"}  # fmt: skip

    def __init__(self, module: Module, said: str) -> None:
        self._module, self._said, self._at, self._conditions = module, said.strip(), 0, 0

    def test(self) -> Test:
        found = self._any()
        if self._at != len(self._said):
            self._wrong()
        return found

    def _any(self) -> Test:
        tests, joined = [self._one()], ""
        while (word := self._joiner()) is not None:
            if joined and word != joined:
                self._wrong()
            joined = word
            tests.append(self._one())
        if joined == "or":
            return lambda view, item: any(test(view, item) for test in tests)
        return lambda view, item: all(test(view, item) for test in tests)

    def _joiner(self) -> str | None:
        found = re.compile(r"\s*(and|or)\s*", re.IGNORECASE).match(self._said, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[1].casefold()

    def _one(self) -> Test:
        if self._said[self._at : self._at + 1] != "(":
            self._wrong()
        if self._said[self._at : self._at + 2] == "((":
            self._at += 1
            found = self._any()
            if self._said[self._at : self._at + 1] != ")":
                self._wrong()
            self._at += 1
            return found
        one = re.compile(r"\(([\w.$]+):(\w+):((?:[^\\()]|\\.)*)\)").match(self._said, self._at)
        if one is None or one[2] not in self.WORDS:
            self._wrong()
        self._conditions += 1
        if self._conditions > SEARCH_CONDITIONS:
            raise Refused(400, "LIMIT_EXCEEDED", "criteria limit exceeded", {"limit": SEARCH_CONDITIONS})
        self._at = one.end()
        column, word = column_of(self._module, one[1]), one[2]
        said = re.sub(r"\\(.)", r"\1", one[3])
        values = (
            said.split(",") if word in ("in", "between") else [f"{said}%" if word == "starts_with" else said]
        )
        return condition(column, self.WORDS[word], [read_value(column, value) for value in values])

    def _wrong(self) -> NoReturn:
        raise Refused(
            400,
            "INVALID_QUERY",
            "invalid query formed",
            {"reason": "criteria", "near": self._said[self._at :][:40]},
        )
