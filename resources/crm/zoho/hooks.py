"""What Zoho's notifications hint at: JSON that names a module and ids, and bears the token of its channel.

The token is the only proof. A channel is opened by POST /crm/v8/actions/watch and ends by itself: docs/connectors/zoho.md.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from resources.connector import Delivery, Forged, Hint
from resources.crm.zoho.entities import MODULES

MAX_IDS: Final = 10_000  # of one notification
_ID: Final = re.compile(
    r"[0-9]{1,20}"
)  # whatever else there were, a query that names it would be refused whole
_ENTITIES: Final = {module.name: entity for entity, module in MODULES.items()}


class _Told(msgspec.Struct):
    module: str
    ids: list[str | int] = []
    token: str | None = None


def hints(delivery: Delivery, token: str) -> Sequence[Hint]:
    """See HearsEvents.hear. `token`: what the channel was given; "" takes every one, since the address is secret too.

    Raises Forged for another token, ValueError for a body that is no notification.
    """
    try:
        told = msgspec.json.decode(delivery.body, type=_Told)
    except msgspec.DecodeError as error:
        raise ValueError(f"the webhook's body is no notification of Zoho: {error}") from None
    if token and not hmac.compare_digest((told.token or "").encode(), token.encode()):
        raise Forged("the notification bears another token than notification_token in the connection")
    if len(told.ids) > MAX_IDS:
        raise ValueError(f"the notification names {len(told.ids)} records, more than {MAX_IDS}")
    entity = _ENTITIES.get(told.module)
    if entity is None:
        return []
    if not told.ids:
        return [Hint(entity)]
    if not all(_ID.fullmatch(str(number)) for number in told.ids):
        raise ValueError("the notification names a record by something that is no id of Zoho's")
    return list(dict.fromkeys(Hint(entity, str(number)) for number in told.ids))
