"""Small lists of an organization: users, pipelines and stages, choices of fields, currencies, prices of price books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from resources.connector import Refused
from resources.crm.zoho.entities import MODULES, decode, prices, stages, stages_of_field
from resources.crm.zoho.org import API, NOT_THERE, Org, Rows

NO_CHOICE: Final = (None, "", "-None-")


def dictionary(org: Org, entity: str) -> Rows:
    """A small list whole; empty where the edition does not have it. Raises SourceError."""
    if entity == "employee":
        return org.all_rows("users", "users", {"type": "AllUsers"})
    if entity == "currency":
        return _or_none(lambda: org.all_rows("org/currencies", "currencies", {}))
    if entity == "lead_source":
        rows = _choices(org, "Lead_Source")
        return [row for row in rows if decode(row).get("actual_value") not in NO_CHOICE]
    pipelines = _or_none(lambda: _pipelines(org))
    if entity == "pipeline":
        return pipelines
    return stages(pipelines) or stages_of_field(_choices(org, "Stage"))


def book_prices(org: Org, book: str) -> Rows:
    """The prices of a price book, by product. Raises SourceError."""
    path = f"{MODULES['price_list'].name}/{book}/Products"
    params = {"fields": "Product_Name,Product_Code,Unit_Price"}
    return prices(book, _or_none(lambda: org.all_rows(path, "data", params)))


def _pipelines(org: Org) -> list[msgspec.Raw]:
    answer = org.ask("GET", API + "settings/layouts", params={"module": "Deals"})
    layouts, _ = org.listed(answer, "layouts", "the layouts of Deals")
    found: dict[str, msgspec.Raw] = {}
    for layout in layouts:
        number = str(decode(layout)["id"])
        answer = org.ask("GET", API + "settings/pipeline", params={"layout_id": number})
        rows, _ = org.listed(answer, "pipeline", "the pipelines of Deals")
        for row in rows:
            found.setdefault(str(decode(row).get("id")), row)
    return list(found.values())


def _choices(org: Org, name: str) -> list[msgspec.Raw]:
    return [
        choice
        for found in org.fields(MODULES["deal"].name, anew=True)
        if found.name == name
        for choice in found.choices
    ]


def _or_none(ask: Callable[[], list[msgspec.Raw]]) -> list[msgspec.Raw]:
    try:
        return ask()
    except Refused as error:
        if error.code not in NOT_THERE:
            raise
        return []
