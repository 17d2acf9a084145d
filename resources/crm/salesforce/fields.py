"""Which fields of an org's objects are asked for: those that the mapping names, and that the user sees.

The org is asked what it has at the start of every read, in one call. A field that is not there is an error with its
name and the nearest one; what belongs to a feature that is off is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import msgspec

from resources.connector import SourceError
from resources.crm.salesforce.entities import FEATURES, KINDS, MASTER_TYPE, SPARE, STAMP
from resources.crm.salesforce.org import Described, Query, Rows

if TYPE_CHECKING:
    from resources.crm.salesforce.connector import Salesforce

COMPOUND: Final = ("address", "location", "base64", "complexvalue")  # no column of a CSV
# Entities that are made of what another one's description holds.
MADE_OF: Final = {"pipeline": ("deal",), "lead_source": ("deal",), "stage": ("stage", "deal")}
TOTAL: Final = "TotalWithVAT"
# Keys of payloads that are made here.
OURS: Final = {"stage": ("Key", "RecordTypeId"), "currency": ("IsCorporate",), "deal_line": (TOTAL,)}


class Fields:
    """What the org has, as described; kept between reads of single records."""

    def __init__(self, crm: Salesforce) -> None:
        self._crm = crm
        self._described: dict[str, Described | None] = {}

    def prepare(self, entities: Sequence[str], *, anew: bool = False) -> list[str]:
        """Describe what these entities need and is not known (all of it, `anew`); the entities to read, in order.

        Raises SourceError for an object or a named field that the user does not see. An object that an edition
        may lack is left out, unless the mapping reads it.
        """
        for name in self.describe(entities, anew=anew):
            if self.of(name) is None and name not in SPARE and name != "currency":
                raise self._unseen(name)
        readable = []
        for name in entities:
            if name in SPARE and self.of(name) is None:
                if self._crm.fields_read.get(name):
                    raise self._unseen(name)
                continue
            named = [
                *self._crm.fields_read.get(name, ()),
                *(self._crm.line_vat if name == "deal_line" else ()),
            ]
            for field, near in self.absent(name, named).items():
                raise SourceError(
                    f"{self.missing(name, field)}, which the mapping reads; {self.remedy(near)}"
                )
            readable.append(name)
        return readable

    def describe(self, entities: Sequence[str], *, anew: bool = False) -> list[str]:
        """Ask what the org has for these entities; those whose objects they are made of."""
        needed = list(dict.fromkeys(part for name in entities for part in MADE_OF.get(name, (name,))))
        objects = [KINDS[name].object for name in needed]
        absent = [name for name in objects if anew or name not in self._described]
        if absent:
            self._described.update(self._crm.org.describe(absent))
        return needed

    def of(self, entity: str) -> Described | None:
        """What the user sees of the entity's object; None where nothing."""
        return self._described.get(KINDS[entity].object)

    def names(self, entity: str) -> Sequence[str]:
        """The fields that are asked for."""
        kind, described = KINDS[entity], self.of(entity)
        named = self._crm.fields_read.get(entity) or kind.usual
        if entity == "deal_line":
            named = (*named, "TotalPrice", *self._crm.line_vat)
        there = described.fields if described is not None else {}
        return [
            name
            for name in dict.fromkeys((*kind.always, *named))
            if name in there and there[name].type not in COMPOUND
        ]

    def heads(self, entity: str) -> Sequence[str]:
        """Of these the ones that tell what became of a record."""
        return [name for name in ("Id", "IsDeleted", "MasterRecordId", STAMP) if name in self.names(entity)]

    def query(self, entity: str) -> Query:
        """All living records of an entity."""
        return Query(KINDS[entity].object, self.names(entity), KINDS[entity].where)

    def record_types(self) -> Rows:
        """The record types of deals that are in use, the vendor's rows; always the master's."""
        described = self.of("deal")
        rows = described.record_types if described is not None else []
        heads = [msgspec.json.decode(row, type=_RecordType) for row in rows]
        return [
            row
            for row, head in zip(rows, heads, strict=True)
            if head.active or head.recordTypeId == MASTER_TYPE
        ]

    def picklist(self, entity: str, field: str) -> Rows:
        """The values of a field's list, the vendor's rows."""
        described = self.of(entity)
        return described.picklists.get(field, []) if described is not None else []

    def absent(self, entity: str, names: Sequence[str]) -> dict[str, str]:
        """Those of the names that cannot be asked for, each with the nearest that can, or ""."""
        if entity in ("pipeline", "lead_source") or (described := self.of(entity)) is None:
            return {}
        there = {name for name, field in described.fields.items() if field.type not in COMPOUND}
        known = there | FEATURES | {"attributes", *OURS.get(entity, ())}
        plain = {name.casefold(): name for name in sorted(there)}
        return {
            name: plain[near[0]] if (near := get_close_matches(name.casefold(), plain, 1, 0.7)) else ""
            for name in names
            if name not in known
        }

    def missing(self, entity: str, field: str) -> str:
        """A sentence's beginning."""
        return f"{self._crm.system}: {KINDS[entity].object} has no field {field} that the integration's user sees"

    def remedy(self, near: str) -> str:
        """What to do where a field is missing."""
        if near:
            return f"did you mean {near}? Correct it in {self._crm.mapping_file}, or let the user's permission set read it"
        return (
            "create it in Setup, Object Manager, and let the user's permission set read it, or take it out of "
            f"{self._crm.mapping_file}"
        )

    def _unseen(self, entity: str) -> SourceError:
        return SourceError(
            f"{self._crm.system}: the integration's user does not see the object {KINDS[entity].object} ({entity}); "
            "give its permission set the right to read it and View All Data, or see whether this edition has it"
        )


class _RecordType(msgspec.Struct):
    recordTypeId: str
    active: bool = True
