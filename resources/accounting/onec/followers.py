"""Which posted corrections and returns a base holds of a document: asked right before one of ours leaves.

A reference of several types (Сделка, ДокументРеализации) is compared through a cast, a plain one (…_Key) by its guid: a plain
guid finds nothing in a reference of several types, and 1C does not say so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from resources.accounting.onec import odata
from resources.connector import Refused

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC

KINDS: Final = ("correction", "return")
_PATH: Final = re.compile(r"(?:\[(?P<field>\w+)_Type=StandardODATA\.(?P<set>\w+)\]\.)?(?P<name>\w+)")


def followers(base: OneC, kind: str, keys: Sequence[str]) -> dict[str, list[str]]:
    """By key of a document the keys of what follows it, without what is not posted or marked for deletion. A set that is not
    published shows nothing. Raises SourceError."""
    names = {odata.canonical(key): key for key in keys}
    found: dict[str, list[str]] = {}
    for entity in (one for one in base.base_paths if one in KINDS):
        paths = base.base_paths[entity]
        place = base.place(entity)
        for name, term in filter(None, (_condition(path, base.place(kind).set) for path in paths)):
            terms = [(key, term.format(guid=odata.guid(key))) for key in names]
            try:
                rows = [odata.decode(row) for _, some in base.session.pick(place.set, terms) for row in some]
            except Refused as refusal:
                if refusal.code != base.unpublished:
                    raise
                break
            for row in rows:
                of = names.get(str(row.get(name, "")).lower())
                if of is not None and row.get("Posted") and not row.get("DeletionMark"):
                    found.setdefault(of, []).append(str(row["Ref_Key"]).lower())
    return found


def _condition(path: str, base_set: str) -> tuple[str, str] | None:
    """The field that a path reads, and the condition on it with a place for the guid; None where it names no such document, or
    cannot be asked for."""
    said = _PATH.fullmatch(path.strip())
    if (
        said is None
        or (said["set"] or base_set) != base_set
        or (said["field"] or said["name"]) != said["name"]
    ):
        return None
    name = said["name"]
    is_plain = name.endswith("_Key") and not said["set"]
    return name, f"{name} eq " + ("{guid}" if is_plain else f"cast({{guid}}, {odata.text(base_set)})")
