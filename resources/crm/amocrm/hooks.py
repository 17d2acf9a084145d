"""What an account's webhooks hint at: a form like `leads[update][0][id]=17&account[subdomain]=shop`.

They bear no signature: the secret of the address is the only proof, and the record is read again. Contacts and
companies may both arrive under `contacts`; where such a webhook names no type, both are hinted at, and the one
that is not there comes to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

from resources.connector import Delivery, Hint

MAX_FIELDS: Final = 20_000  # of one webhook; the vendor sends some dozens a record
_ID: Final = re.compile(r"[0-9]{1,18}")
_ROW: Final = re.compile(r"(leads|contacts|companies)\[(\w+)\]\[(\d+)\]\[(id|type|element_type)\]")
_ENTITIES: Final = {"leads": ("deal",), "companies": ("company",), "contacts": ("contact", "company")}
_TYPES: Final = {"contact": ("contact",), "company": ("company",), "1": ("contact",), "3": ("company",)}


def hints(delivery: Delivery) -> Sequence[Hint]:
    """See HearsEvents.hear. Raises ValueError for a body that is no form with an account in it."""
    try:
        pairs = parse_qsl(delivery.body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except (UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"the webhook's body is no form: {error}") from None
    if not any(name.startswith("account[") for name, _ in pairs):
        raise ValueError("the webhook's body names no account, as amoCRM's do")
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for name, value in pairs:
        if match := _ROW.fullmatch(name):
            rows.setdefault((match[1], match[2], match[3]), {})[match[4]] = value
    found: dict[Hint, None] = {}
    for (part, _, _), row in rows.items():
        if _ID.fullmatch(row.get("id", "")):
            kinds = (
                _TYPES.get(row.get("type", ""), _ENTITIES[part]) if part == "contacts" else _ENTITIES[part]
            )
            found.update((Hint(kind, row["id"]), None) for kind in kinds)
    return list(found)
