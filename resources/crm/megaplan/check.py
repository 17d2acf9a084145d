"""What `sverka sources check` says about a Megaplan account, in words that its administrator can act on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from resources.connector import Finding, SourceError
from resources.crm.crm_source import behind
from resources.crm.megaplan.account import API, Envelope
from resources.crm.megaplan.entities import LISTINGS, MAIN, PAYERS, own_fields
from resources.http_date import http_date

if TYPE_CHECKING:
    from resources.crm.megaplan.connector import Megaplan

# What a user of the account must be permitted, by the vendor's names, and what it is for.
_RIGHTS: Final = {
    "deal_enter": "deals",
    "crm_enter": "clients",
    "offer_enter": "products",
    "invoice_enter": "invoices",
}
_MONEY: Final = ("zadolzhennost", "dolg", "debt", "summa")


def findings(crm: Megaplan, now: datetime | None = None) -> Iterator[Finding]:
    """The connection, the clock, the user's rights, how changes are found, the fields read and written.

    `now`: UTC, the present where not given. Raises SourceError where the account does not answer at all.
    """
    answer = crm.client.request("GET", f"{API}currentUser")
    user = _data(answer.content)
    name = user.get("name") or user.get("login") or user.get("id")
    yield Finding("connection", True, f"the account answers; the user is {name}")
    yield from behind(
        _date(answer.headers.get("date")), now or datetime.now(UTC), crm.capabilities.overlap_seconds
    )
    yield _rights(user)
    yield from _changes(crm)
    for named, words in (
        (crm.fields_read, "which the mapping reads"),
        (crm.fields_written, "which we write"),
    ):
        for entity, fields in named.items():
            yield from _fields(crm, entity, own_fields(fields), words)


def _rights(user: dict[str, Any]) -> Finding:
    """Lists leave out in silence what the user may not see."""
    permitted = user.get("possibleActions")
    if isinstance(permitted, list) and permitted:
        lacking = [words for right, words in _RIGHTS.items() if right not in permitted]
        if lacking:
            return Finding(
                "rights", False, f"the user may not enter {', '.join(lacking)}",
                "let an administrator give it the right, or connect as an administrator",
            )  # fmt: skip
    return Finding(
        "rights", True,
        "what this user may not see is left out of every list in silence, and counts as deleted: "
        "it should see all deals, clients and products, as an administrator does",
    )  # fmt: skip


def _changes(crm: Megaplan) -> Iterator[Finding]:
    try:
        sorted_ = {listing.entity for listing, _ in crm.lists.newest_of([LISTINGS[name] for name in MAIN])}
    except SourceError:
        return  # said by the entities themselves
    for entity in MAIN:
        if entity not in sorted_:
            yield Finding(
                f"changes of {entity}", True,
                "the account does not sort them by the time of change: they are filtered by day or read whole, which "
                "takes more requests",
            )  # fmt: skip


def _fields(crm: Megaplan, entity: str, fields: list[str], words: str) -> Iterator[Finding]:
    listing = PAYERS if entity == "requisite" else LISTINGS.get(entity)
    if not fields or listing is None:
        return
    try:
        missing = crm.lists.missing(listing, fields)
    except SourceError as error:
        yield Finding(f"{entity} fields", False, str(error), "see the message")
        return
    for name in fields:
        if name not in missing:
            yield Finding(f"{entity} field {name}", True, "is there")
            continue
        yield Finding(
            f"{entity} field {name}",
            False,
            f"{entity} has no field {name}, {words}",
            _remedy(crm, entity, name),
        )


def _remedy(crm: Megaplan, entity: str, name: str) -> str:
    kind = "money" if any(word in name.casefold() for word in _MONEY) else "text"
    return (
        f"create it in Megaplan's settings (custom fields of the {entity}; here of type {kind}), look up the name that "
        f"it got in the card, {API}{LISTINGS.get(entity, PAYERS).path}/<id>, and write that into {crm.mapping_file}"
    )


def _data(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(msgspec.json.decode(content, type=Envelope).data)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _date(header: str | None) -> datetime | None:
    return http_date(header or "")
