"""What the webhooks of QuickBooks hint at: the old body, one object of notifications, and CloudEvents, an array.

Both bear `intuit-signature`: base64 of the HMAC-SHA256 of the body as it came, by the app's verifier token. They name
records and say nothing of them; order is not promised, and one delivery may speak of several companies.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from resources.accounting.quickbooks.entities import PLACES, POSTING
from resources.connector import Delivery, Forged, Hint

MAX_EVENTS: Final = 10_000  # of one delivery
SIGNATURE: Final = "intuit-signature"
_ENTITIES: Final = {place.path: entity for entity, place in PLACES.items()}
_ENTRIES: Final = {name.lower() for name in POSTING}

Event = tuple[str, str, str, str]  # realm, kind in small letters, id, the id that a merge took away


def hints(delivery: Delivery, realm: str, verifier: str) -> Sequence[Hint]:
    """See HearsEvents.hear. `verifier`: the app's token; "" takes every delivery, since the address is secret too.

    Raises Forged for a signature that does not fit, ValueError for a body that is neither of the two.
    """
    if verifier:
        made = base64.b64encode(hmac.new(verifier.encode(), delivery.body, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(delivery.headers.get(SIGNATURE, "").encode(), made.encode()):
            raise Forged("the notification's intuit-signature does not fit verifier_token in the connection")
    try:
        held = msgspec.json.decode(delivery.body)
    except msgspec.DecodeError as error:
        raise ValueError(f"the webhook's body is no notification of QuickBooks: {error}") from None
    found: dict[Hint, None] = {}
    for number, (company, kind, record, lost) in enumerate(_events(held), start=1):
        if number > MAX_EVENTS:
            raise ValueError(f"the notification tells of more than {MAX_EVENTS} records")
        if company != realm:
            continue
        entity = _ENTITIES.get(kind)
        if entity is not None:
            found.update((Hint(entity, each), None) for each in (record, lost) if each)
        elif kind in _ENTRIES:
            found[Hint("entry")] = None
    return list(found)


def _events(held: Any) -> Iterable[Event]:
    if isinstance(held, list):
        for event in held:
            if not isinstance(event, dict) or "type" not in event:
                raise ValueError("the webhook's body is a list, but not of CloudEvents")
            words = str(event["type"]).lower().split(".")  # qbo.customer.updated.v1
            said = event.get("data")
            lost = (said.get("deletedId") or said.get("deletedid")) if isinstance(said, dict) else ""
            yield (
                str(event.get("intuitaccountid") or ""),
                words[1] if len(words) > 2 else "",
                str(event.get("intuitentityid") or ""),
                str(lost or ""),
            )
        return
    notifications = held.get("eventNotifications") if isinstance(held, dict) else None
    if not isinstance(notifications, list):
        raise ValueError(
            "the webhook's body has no eventNotifications; is this address given to another sender?"
        )
    for notification in notifications:
        changed = notification.get("dataChangeEvent") if isinstance(notification, dict) else None
        for entity in (changed or {}).get("entities") or []:
            yield (
                str(notification.get("realmId") or ""),
                str(entity.get("name") or "").lower(),
                str(entity.get("id") or ""),
                str(entity.get("deletedId") or ""),
            )
