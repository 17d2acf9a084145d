"""What an environment's webhooks hint at: a RemoteExecutionContext as JSON, one a message of Dataverse.

They bear no signature, only a fixed value in a header or in the query, chosen where the webhook is registered. A
context over 256 KB comes without its contents; the headers still name the table.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from resources.connector import Delivery, Forged, Hint

_TABLES: Final = {
    "account": "company", "contact": "contact", "opportunity": "deal", "opportunityproduct": "deal_line",
    "product": "product", "productpricelevel": "product_price", "invoice": "invoice", "systemuser": "employee",
    "campaign": "campaign", "transactioncurrency": "currency", "pricelevel": "price_list", "uom": "unit",
    "processstage": "stage", "workflow": "pipeline",
}  # fmt: skip
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NONE: Final = "00000000-0000-0000-0000-000000000000"


def hints(delivery: Delivery, header: str = "", key: str = "") -> Sequence[Hint]:
    """See HearsEvents.hear. `header` and `key`: what the webhook was registered with; query `code` without a header.

    Raises Forged where the key does not fit, ValueError for a body that is no context of Dataverse.
    """
    if key:
        given = delivery.headers.get(header.lower(), "") if header else delivery.query.get("code", "")
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise Forged(
                f"the webhook's {'header ' + header if header else 'code in the query'} is not the one agreed on"
            )
    told = delivery.headers.get("x-ms-dynamics-entity-name", "")
    try:
        said: Any = msgspec.json.decode(delivery.body)
    except msgspec.DecodeError as error:
        if delivery.headers.get("x-ms-dynamics-msg-size-exceeded"):
            said = {}
        else:
            raise ValueError(f"the webhook's body is no JSON: {error}") from None
    if not isinstance(said, dict) or not (said.get("PrimaryEntityName") or told):
        raise ValueError("the webhook names no table, as contexts of Dataverse do (PrimaryEntityName)")
    table = str(said.get("PrimaryEntityName") or told).lower()
    entity = _TABLES.get(table)
    if entity is None:
        return []
    keys = [str(said.get("PrimaryEntityId") or "")]
    given_with = said.get("InputParameters")
    inputs = {
        str(one.get("key")): one.get("value")
        for one in (given_with if isinstance(given_with, list) else ())
        if isinstance(one, dict)
    }
    keys.append(str(inputs.get("SubordinateId") or ""))  # of a merge: who is merged into the target
    target = inputs.get("Target")
    if isinstance(target, Mapping):
        keys.append(str(target.get("Id") or ""))
    found = [key.lower() for key in dict.fromkeys(keys) if _GUID.fullmatch(key) and key != _NONE]
    return [Hint(entity, key) for key in dict.fromkeys(found)] or [Hint(entity)]
