"""Whole objects straight to JSON: defaults are encoded once a set, only what a row stores is encoded anew.

A document answers seventy properties of which a dozen are filled; reading thousands back is what a
reconciliation does all day, so this is where the base's time would go.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec

from sandbox.onec.model import EntitySet, Row
from sandbox.onec.values import is_empty_ref

_encode = msgspec.json.Encoder().encode


def encoded(entity: EntitySet, stored: Row, *, links: bool) -> msgspec.Raw:
    """The same JSON object that `Shape.shown` and the encoder would give for a stored row."""
    whole = _whole(entity)
    parts = whole.fields.copy()
    for name, value in stored.items():
        if name in entity.tables:
            parts[whole.places[name]] = _rows(entity, name, value, stored["Ref_Key"])
        else:
            parts[whole.places[name]] = whole.heads[name] + _encode(value)
    if links:
        place = f"{entity.name}(guid'{stored['Ref_Key']}')/".encode()
        parts += [
            head + place + tail
            for name, (head, tail) in whole.links.items()
            if name in stored and not is_empty_ref(stored[name])
        ]
    return msgspec.Raw(b"{" + b",".join(parts) + b"}")


def _rows(entity: EntitySet, table: str, rows: list[Row], key: str) -> bytes:
    whole = _whole_row(entity, table)
    reference = b'"Ref_Key":"' + key.encode() + b'"'
    found = []
    for row in rows:
        parts = whole.fields.copy()
        parts[0] = reference
        for name, value in row.items():
            parts[whole.places[name]] = whole.heads[name] + _encode(value)
        found.append(b"{" + b",".join(parts) + b"}")
    return b'"' + table.encode() + b'":[' + b",".join(found) + b"]"


class _Whole:
    """A set's properties in their order, each encoded at its default."""

    def __init__(self, template: Mapping[str, object], navigations: Mapping[str, str]) -> None:
        self.heads = {name: _encode(name) + b":" for name in template}
        self.fields = [self.heads[name] + _encode(value) for name, value in template.items()]
        self.places = {name: place for place, name in enumerate(template)}
        self.links = {
            name: (b'"' + shown.encode() + b'@navigationLinkUrl":"', shown.encode() + b'"')
            for name, shown in navigations.items()
        }


@cache
def _whole(entity: EntitySet) -> _Whole:
    return _Whole(entity.template, {prop.name: shown for shown, prop in entity.navigations.items()})


@cache
def _whole_row(entity: EntitySet, table: str) -> _Whole:
    return _Whole(entity.row_templates[table], {})
