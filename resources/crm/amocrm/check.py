"""What `sverka sources check` says about an amoCRM account, in words that its administrator can act on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from resources.connector import Finding, SourceError
from resources.crm.amocrm.entities import own_fields
from resources.crm.crm_source import behind

if TYPE_CHECKING:
    from resources.crm.amocrm.connector import AmoCRM

FIELD_TYPES = {"SVERKA_DEBT": "numeric"}  # what to create where a field of ours is missing; else text
PATHS = {"deal": "leads", "company": "companies", "contact": "contacts"}


def findings(crm: AmoCRM, now: datetime | None = None) -> Iterator[Finding]:
    """The connection, the clock, the user's rights, the filter by time, the log, the custom fields.

    `now`: UTC, the present where not given. Raises SourceError where the account does not answer at all.
    """
    settings, there = crm.account.settings()
    name = settings.get("subdomain") or settings.get("name")
    yield Finding(
        "connection", True, f"the account {name} answers; its currency is {settings.get('currency')}"
    )
    yield from behind(there, now or datetime.now(UTC), crm.capabilities.overlap_seconds)
    yield from _rights(crm, str(settings.get("current_user_id") or ""))
    if settings.get("is_api_filter_enabled") is False:
        yield Finding(
            "filter", True,
            "the account lacks the filter by time: changes are read newest first, and single records one by one, "
            "which takes more requests; the vendor's support switches it on",
        )  # fmt: skip
    try:
        crm.log.newest_deletions()
    except SourceError as error:
        yield Finding("events", False, str(error), "without the log deletions wait for the day's sweep")
    else:
        yield Finding("events", True, "the log of events can be read")
    for named, words in (
        (crm.fields_read, "which the mapping reads"),
        (crm.fields_written, "which we write"),
    ):
        for entity, fields in named.items():
            yield from _fields(crm, entity, list(fields), words)


def _rights(crm: AmoCRM, user: str) -> Iterator[Finding]:
    """Others' records are left out of every list in silence, where the user may not see them."""
    try:
        row = crm.account.one(f"users/{user}") if user else None
        rights = msgspec.json.decode(row, type=_User).rights if row is not None else None
    except SourceError as error:
        yield Finding("rights", False, str(error), "let an administrator install the integration")
        return
    if rights is None or rights.is_admin:
        yield Finding("rights", True, "the user is an administrator" if rights else "the user is not told")
        return
    hidden = [name for name in ("leads", "contacts", "companies") if getattr(rights, name).view != "A"]
    if hidden:
        yield Finding(
            "rights", False,
            f"the user does not see all {', '.join(hidden)}: others' are left out in silence, and count as deleted",
            "let an administrator install the integration, or give this user the right to see all",
        )  # fmt: skip
    else:
        yield Finding(
            "rights", True, "the user sees everything, and is no administrator: users may be refused"
        )


def _fields(crm: AmoCRM, entity: str, fields: list[str], words: str) -> Iterator[Finding]:
    own = own_fields(entity, fields)
    if not own:
        return
    try:
        absent = crm.absent_fields(entity, own)
    except SourceError as error:
        yield Finding(f"{entity} fields", False, str(error), "see the message")
        return
    for name in own:
        if name not in absent:
            yield Finding(f"{entity} field {name}", True, "is there")
            continue
        message = f"{entity} has no custom field {name}, by code or by number, {words}"
        yield Finding(f"{entity} field {name}", False, message, _remedy(crm, entity, name, absent[name]))


def _remedy(crm: AmoCRM, entity: str, name: str, near: str) -> str:
    if near:
        return f"did you mean {near}? Correct it in {crm.mapping_file}"
    made = f'[{{"name": "{name}", "code": "{name}", "type": "{FIELD_TYPES.get(name, "text")}"}}]'
    return (
        f"create it in the card of the {entity}, and write its number into {crm.mapping_file} in place of the code; "
        f"or POST {made} to /api/v4/{PATHS.get(entity, 'catalogs/<id>')}/custom_fields, which gives it the code"
    )


class _Right(msgspec.Struct):
    view: str = "A"


class _Rights(msgspec.Struct):
    leads: _Right = msgspec.field(default_factory=_Right)
    contacts: _Right = msgspec.field(default_factory=_Right)
    companies: _Right = msgspec.field(default_factory=_Right)
    is_admin: bool = False


class _User(msgspec.Struct):
    rights: _Rights | None = None
