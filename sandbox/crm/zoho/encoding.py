"""JSON as the vendor writes it, and records kept in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from sandbox.crm.zoho.fields import Field
from sandbox.crm.zoho.modules import Module
from sandbox.crm.zoho.view import View
from sandbox.desk.records import Item

MAX_KEPT: Final = 300_000
"""Encoded records that are kept, of all selections of fields together; the selection used longest ago goes first."""
Selection = tuple[str, tuple[str, ...]]
"""A module and the names of its fields, in the order asked for."""
encode: Final = msgspec.json.Encoder(decimal_format="number").encode
decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class Encoded:
    """Records as JSON bytes, kept by selection of fields as long as nothing that they show has changed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._kept: OrderedDict[Selection, dict[int, tuple[tuple[int, ...], bytes]]] = OrderedDict()

    def records(self, module: Module, chosen: Sequence[Field], items: Sequence[Item]) -> bytes:
        """The records, comma between them."""
        key = (module.name, tuple(one.name for one in chosen))
        kept = self._kept.setdefault(key, {})
        self._kept.move_to_end(key)
        while sum(map(len, self._kept.values())) > MAX_KEPT:
            self._kept.popitem(last=False)
        view, entity, found = self._view, module.entity, []
        for item in items:
            seal = view.seal(entity, item)
            known = kept.get(item.number)
            if known is None or known[0] != seal:
                said = {one.name: one.get(view, item) for one in chosen}
                known = kept[item.number] = (seal, encode(said))
            found.append(known[1])
        return b",".join(found)
