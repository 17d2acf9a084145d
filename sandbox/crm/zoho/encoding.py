"""JSON as the vendor writes it, and records kept in it and as lines of a CSV."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from sandbox.crm.zoho.fields import Field
from sandbox.crm.zoho.modules import Module
from sandbox.crm.zoho.view import View
from sandbox.desk.records import Item

MAX_KEPT: Final = 300_000
"""Encoded records that are kept, of all selections of fields together; the selection used longest ago goes first."""
Selection = tuple[str, str, tuple[str, ...]]
"""In what form, a module and the names of its fields, in the order asked for."""
encode: Final = msgspec.json.Encoder(decimal_format="number").encode
decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class Kept(NamedTuple):
    """A record as bytes, as good as the whole desk is of that version, or what the record shows is."""

    version: int
    seal: tuple[int, ...]
    data: bytes


class Encoded:
    """Records as bytes, kept by selection of fields as long as nothing that they show has changed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._kept: OrderedDict[Selection, dict[int, Kept]] = OrderedDict()

    def records(self, module: Module, chosen: Sequence[Field], items: Sequence[Item]) -> bytes:
        """The records in JSON, comma between them."""
        view = self._view

        def made(item: Item) -> bytes:
            return encode({one.name: one.get(view, item) for one in chosen})

        return b",".join(self.kept("json", module, [one.name for one in chosen], items, made))

    def kept(
        self,
        form: str,
        module: Module,
        names: Sequence[str],
        items: Sequence[Item],
        made: Callable[[Item], bytes],
    ) -> list[bytes]:
        """Each record in a form, made where it is not known as it is now."""
        key = (form, module.name, tuple(names))
        kept = self._kept.setdefault(key, {})
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > MAX_KEPT:
            self._kept.popitem(last=False)
        if len(kept) > MAX_KEPT:
            kept.clear()
        view, version, found = self._view, self._view.desk.version, []
        for item in items:
            known = kept.get(item.number)
            if known is None or known.version != version:
                seal = view.seal(module.entity, item)
                same = known is not None and known.seal == seal
                known = kept[item.number] = Kept(
                    version, seal, known.data if known is not None and same else made(item)
                )
            found.append(known.data)
        return found
