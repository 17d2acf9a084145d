"""Fields that a base keeps as a key of a catalog where others keep a word: rates of VAT above all.

A mapping says the word (`СтавкаНДС: НДС22`). Whether the base has that field, an enum, or `СтавкаНДС_Key`, a key
of its catalog of rates, stands in its metadata: then the key goes out in place of the word, and what is read back
shows the word beside the key. A rate is found by its name, or by what the name means: «22%», «НДС 22%» and НДС22
are one, «Без НДС» and БезНДС too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resources.accounting.onec import odata
from resources.connector import Refused

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC


class Names:
    """The words of one base and their keys. Thread-safe; catalogs are read once, and again for a word not met."""

    def __init__(self, base: OneC) -> None:
        self.base = base
        self._keys: dict[str, dict[str, str]] = {}  # by entity: what a name means -> key
        self._told: dict[str, dict[str, str]] = {}  # by entity: all names, for messages: key -> name
        self._said: dict[str, str] = {}  # by key: the word that a mapping used
        self._lock = threading.Lock()

    def given(self, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as this base takes it. Raises Refused for a word that its catalog does not have."""
        named = self.base.profile.named
        return self._body(self.base.place(kind).set, body) if named else body

    def shown(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A body read back, with the word beside each key that stands for one."""
        named = self.base.profile.named
        if not named:
            return body
        rows = {
            name: [self._beside(row) if isinstance(row, Mapping) else row for row in value]
            for name, value in body.items()
            if isinstance(value, list)
        }
        return {**self._beside(body), **rows}

    def _body(self, entity_set: str, body: Mapping[str, Any]) -> dict[str, Any]:
        fields = self.base.metadata().get(entity_set, {})
        found: dict[str, Any] = {}
        for name, value in body.items():
            entity = self.base.profile.named.get(name)
            if isinstance(value, (list, tuple)):
                found[name] = [
                    self._body(f"{entity_set}_{name}", row) if isinstance(row, Mapping) else row
                    for row in value
                ]
            elif entity and value and name not in fields and f"{name}_Key" in fields:
                found[f"{name}_Key"] = self._key(entity, str(value))
            else:
                found[name] = value
        return found

    def _beside(self, body: Mapping[str, Any]) -> dict[str, Any]:
        words = {
            name: word
            for name, entity in self.base.profile.named.items()
            if name not in body and (word := self._word(entity, str(body.get(f"{name}_Key", ""))))
        }
        return {**body, **words}

    def _key(self, entity: str, word: str) -> str:
        with self._lock:
            for again in (False, True):
                key = self._catalog(entity, again=again).get(meaning(word))
                if key:
                    self._said[key] = word
                    return key
            there = ", ".join(sorted(self._told[entity].values())) or "none"
        raise Refused(
            f"{self.base.system}: {self.base.place(entity).set} has no {word!r}; it has {there}. Correct the "
            "value in the mapping, or create it in 1C",
            code="unknown_name",
        )

    def _word(self, entity: str, key: str) -> str:
        if not key or key == odata.EMPTY_REF:
            return ""
        with self._lock:
            self._catalog(entity)
            told = self._told[entity].get(key, "")
        return self._said.get(key) or (f"НДС{meaning(told)}" if meaning(told)[:1].isdigit() else told)

    def _catalog(self, entity: str, *, again: bool = False) -> Mapping[str, str]:
        if again or entity not in self._keys:
            place = self.base.place(entity)
            rows = self.base.session.rows(place.set, {"$select": "Ref_Key,Description,DeletionMark"})
            living = [row for row in map(odata.decode, rows) if not row.get("DeletionMark")]
            self._told[entity] = {str(row["Ref_Key"]).lower(): str(row["Description"]) for row in living}
            self._keys[entity] = {meaning(name): key for key, name in self._told[entity].items()}
        return self._keys[entity]


def meaning(name: str) -> str:
    """What a name of a rate says, however it is written: «НДС 22%» is 22, НДС22_122 is 22/122, «Без НДС» без."""
    return re.sub(r"ндс|[\s%]", "", name.lower()).replace("_", "/")
