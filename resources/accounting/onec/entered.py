"""Counterparties that somebody entered in 1C by hand, looked for right before ours would be created beside them.

1C does not watch over the INN: its own check warns a person at the card, and no program. Asked for by the fields that the
body fills, many numbers to a request. Folders and records marked for deletion stand for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from resources.accounting.onec import odata
from resources.connector import Entered, Rows

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC

PARTY: Final = "counterparty"
NUMBERS: Final = ("ИНН", "НалоговыйНомер")  # a body fills one of the two
BRANCH: Final = "КПП"


def entered(base: OneC, kind: str, rows: Rows) -> dict[str, Entered]:
    """By our key the counterparty that is there already. Raises SourceError."""
    if kind != PARTY:
        return {}
    wanted = {key: number for key, body in rows if (number := _number(body))}
    terms = [(text, f"{field} eq {odata.text(text)}") for field, text in dict.fromkeys(wanted.values())]
    there: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for _, found in base.session.pick(base.place(kind).set, terms):
        for row in found:
            body = odata.decode(row)
            if not body.get("DeletionMark") and not body.get("IsFolder"):
                for field in NUMBERS:
                    there.setdefault((field, str(body.get(field) or "")), []).append(body)
    told: dict[str, Entered] = {}
    for key, body in rows:
        branch = str(body.get(BRANCH) or "")
        for other in there.get(wanted.get(key, ("", "")), ()):
            theirs = str(other.get(BRANCH) or "")
            if (not branch or not theirs or branch == theirs) and odata.canonical(key) != _key(other):
                told[key] = Entered(_key(other), str(other.get("Description") or ""), wanted[key][1], theirs)
                break
    return told


def _number(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """The field that holds the tax number of a body, and the number."""
    return next(((field, str(body[field])) for field in NUMBERS if body.get(field)), None)


def _key(body: Mapping[str, Any]) -> str:
    return str(body["Ref_Key"]).lower()
