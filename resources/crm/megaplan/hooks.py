"""What an account's webhooks hint at: JSON like `{"data": {"contentType": "Deal", "id": "17"}, "event": "on_after_update"}`.

They bear no signature: the secret of the address is the only proof, and the record is read again, whether it was
created, changed or dropped. How the envelope names its model is not documented, so the record's own type counts
first. A webhook of a program's scenario holds `{"data": {"deal": {"Id": 17}}}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from resources.connector import Delivery, Hint

MAX_RECORDS: Final = 1_000  # of one webhook
_ENTITIES: Final = {
    "deal": ("deal",),
    "contractorcompany": ("company",),
    "contractorhuman": ("contact",),
    "contractor": ("company", "contact"),  # the one that is not there comes to nothing
    "client": ("company", "contact"),
    "offer": ("product",),
}
_WHOLE: Final = {"employee": "employee", "program": "stage"}  # read whole: any hint will do
_OF_DEALS: Final = ("invoice", "finoperation", "offerrow")  # they come inside their deal


def hints(delivery: Delivery) -> Sequence[Hint]:
    """See HearsEvents.hear. Raises ValueError for a body that is not Megaplan's."""
    try:
        said = msgspec.json.decode(delivery.body)
    except msgspec.DecodeError as error:
        raise ValueError(f"the webhook's body is no JSON: {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("data"), dict | list):
        raise ValueError("the webhook's body has no data, as Megaplan's have")
    data = said["data"]
    rows = data if isinstance(data, list) else [data]
    found: dict[Hint, None] = {}
    for row in rows[:MAX_RECORDS]:
        if isinstance(row, dict):
            found.update((hint, None) for hint in _of(row, str(said.get("model") or "")))
    return list(found)


def _of(row: Mapping[str, Any], model: str) -> Iterator[Hint]:
    kind = str(row.get("contentType") or model).rpartition("\\")[2].casefold()
    if kind in _WHOLE:
        yield Hint(_WHOLE[kind])
    elif kind in _OF_DEALS:
        yield Hint("deal", _key(row.get("deal")))
    elif kind in _ENTITIES and _key(row):
        yield from (Hint(entity, _key(row)) for entity in _ENTITIES[kind])
    elif not kind or kind not in _ENTITIES:
        for name, inner in row.items():  # a scenario's: the records by their names
            if name.casefold() in ("deal", "contractor", "client") and _key(inner):
                yield from (Hint(entity, _key(inner)) for entity in _ENTITIES[name.casefold()])


def _key(row: Any) -> str:
    """The id of a record; "" for what the account would refuse as one."""
    if not isinstance(row, Mapping):
        return ""
    number = str(row.get("id") or row.get("Id") or "")
    return number if number.isascii() and number.isdigit() and len(number) <= 18 else ""
