"""Outgoing webhooks of a Bitrix24 portal, and the records that they name, read by id.

A webhook is form-encoded and tells an event and an id, also of a deletion: `event=ONCRMDEALUPDATE`,
`data[FIELDS][ID]=17`, `auth[application_token]=...`. There is no signature: the token, shown once when the webhook
was made, is its only proof. Nothing is delivered again. Sources: api-reference/events/index.md,
local-integrations/local-webhooks.md, the pages of the events, crm-item-get.md, crm-requisite-get.md of the vendor.
There is no event of a deal's product rows: changing them is heard as far as the portal saves the deal with them.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from resources.connector import Delivery, Forged, Hint, Page, Record, SourceError
from resources.crm.bitrix24.entities import ITEM_TYPES
from resources.crm.bitrix24.lists import PAGE, Chain, Reader, Whole
from resources.crm.bitrix24.portal import BATCH, Outcome, call

if TYPE_CHECKING:
    from resources.crm.bitrix24.connector import Bitrix24

DYNAMIC = ("ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE")
MAX_FIELDS = 1_000  # of one webhook; a true one has a dozen
MAX_DIGITS = 18
CATALOG = ("product", "product_price")

_CHANGES = ("ADD", "UPDATE", "DELETE")
EVENTS = {
    **{
        f"ONCRM{name.upper()}{e}": name
        for name in ("deal", "company", "contact", "requisite", "activity")
        for e in _CHANGES
    },
    "ONCRMDEALMOVETOCATEGORY": "deal",  # told instead of an update, to applications only
    **{f"CATALOG.PRODUCT.ON.{e}": "product" for e in _CHANGES},
    **{f"CATALOG.PRICE.ON.{e}": "product_price" for e in _CHANGES},
}
ADDRESSES = ("ONCRMADDRESSREGISTER", "ONCRMADDRESSUNREGISTER")  # name the company that the requisite is of
READ_BY_ID = frozenset({*EVENTS.values(), "invoice"})


def hints_of(delivery: Delivery, token: str) -> list[Hint]:
    """The record that the event names; empty for an event that nothing here is read of.

    `token`: the application_token that it must carry; "" where none is known. Raises Forged, ValueError.
    """
    said = dict(parse_qsl(delivery.body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    if token and not hmac.compare_digest(said.get("auth[application_token]", "").encode(), token.encode()):
        raise Forged
    if not (event := said.get("event", "")):
        raise ValueError("no event")
    entity = EVENTS.get(event.upper())
    if event.upper() in DYNAMIC and said.get("data[FIELDS][ENTITY_TYPE_ID]") == str(ITEM_TYPES["invoice"]):
        entity = "invoice"  # the other dynamic items are smart processes
    name = "ID"
    if event.upper() in ADDRESSES and said.get("data[FIELDS][ANCHOR_TYPE_ID]") == str(ITEM_TYPES["company"]):
        entity, name = "company", "ANCHOR_ID"
    if entity is None:
        return []
    number = said.get(f"data[FIELDS][{name}]", "")
    if not number.isascii() or not number.isdigit() or len(number) > MAX_DIGITS:
        raise ValueError("no id")
    return [Hint(entity, str(int(number)))]


def pages_of(crm: Bitrix24, entity: str, keys: Sequence[str]) -> Iterator[Page]:
    """These records as they are now, with their children, 50 ids a call, 2,500 a request; the absent as tombstones.

    A list leaves out silently what its reader may not see, so a CRM record that it lacks is asked for by itself:
    only what the portal says not to exist is gone. Products and prices have no rights of their own.
    Raises SourceError.
    """
    if entity not in READ_BY_ID:
        raise SourceError(f"{crm.system}: a {entity} is not read by its id; read the whole list")
    names = {key for key in keys if key.isascii() and key.isdigit() and len(key) <= MAX_DIGITS}
    found: set[str] = set()
    for page in Reader(crm.portal).run(_chains(crm, entity, names)):
        if page.entity == entity:
            found.update(record.source_id for record in page.records)
            if not found.issubset(names):
                raise SourceError(
                    f"{crm.system}: the portal shows every {entity} where some were asked for by id, so it cannot be "
                    "said which of them are gone; the ordinary read and the sweep find what changed"
                )
        yield page
    absent = sorted(names - found, key=int)
    gone = absent if entity in CATALOG else _gone(crm, entity, absent)
    if gone:
        yield Page(entity, [Record(key, b"{}", deleted=True) for key in gone])
        for child in crm.children_of(entity):
            yield Page(child.entity, [], complete_parents=gone)


def _chains(crm: Bitrix24, entity: str, keys: Iterable[str]) -> list[Chain | Whole]:
    numbers = sorted(map(int, keys))
    parts = [numbers[start : start + PAGE] for start in range(0, len(numbers), PAGE)]
    # Lists of the catalog know no @; = takes several there.
    sign = "=" if entity in CATALOG else "@"
    return [
        Chain(
            listing,
            {f"{sign}{listing.key}": part},
            upto=part[-1],
            pages_wanted=1,
            child_listings=crm.children_of(entity),
        )
        for listing in crm.listings_of(entity)
        for part in parts
    ]


def _gone(crm: Bitrix24, entity: str, keys: Sequence[str]) -> list[str]:
    """Those that the portal says not to exist. What it refuses otherwise, or shows after all, waits for the sweep."""
    gone = []
    for start in range(0, len(keys), BATCH):
        part = keys[start : start + BATCH]
        if entity in ITEM_TYPES:
            calls = [call("crm.item.get", entityTypeId=ITEM_TYPES[entity], id=int(key)) for key in part]
        else:
            calls = [call(f"crm.{entity}.get", id=int(key)) for key in part]
        for key, outcome in zip(part, crm.portal.ask(calls, refused="crm."), strict=True):
            if _is_absent(outcome):
                gone.append(key)
    return gone


def _is_absent(outcome: Outcome) -> bool:
    """NOT_FOUND, or words where the older methods have no code: "The Requisite with ID '27' is not found"."""
    if outcome.error is None:
        return False
    return outcome.error.code == "NOT_FOUND" or (
        not outcome.error.code and outcome.error.reason.endswith("is not found")
    )
