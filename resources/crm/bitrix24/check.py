"""What `sverka sources check` says about a Bitrix24 portal, in words that its administrator can act on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from resources.connector import Finding, SourceError
from resources.crm.bitrix24.entities import ITEM_TYPES, SCOPES, USER_FIELDS
from resources.crm.bitrix24.lists import moment

if TYPE_CHECKING:
    from resources.crm.bitrix24.connector import Bitrix24

CLOCK_SKEW = 60  # seconds between the portal's clock and ours that are nothing to report


def findings(crm: Bitrix24, now: datetime | None = None) -> list[Finding]:
    """The connection, the clock, the scopes, each entity with the fields read of it, the fields written.

    `now`: UTC, the present where not given. Never raises SourceError.
    """
    now = now or datetime.now(UTC)
    try:
        scopes = crm.portal.call("scope", {})
    except SourceError as error:
        return [Finding("connection", False, str(error), "correct the connection and check again")]
    found = [Finding("connection", True, f"the portal answers; scopes: {', '.join(scopes)}")]
    found += _clock(crm, now)
    for scope, names in SCOPES.items():
        if not set(names) & set(scopes):
            remedy = f"edit {crm.portal.entry} (Developer resources) and tick {scope}"
            found.append(
                Finding(f"scope {scope}", False, f"{crm.portal.entry} lacks the scope {scope}", remedy)
            )
    for entity in crm.capabilities.entities:
        try:
            page = next(iter(crm.read([entity.name], None, now)), None)
        except SourceError as error:
            found.append(Finding(entity.name, False, str(error), "see the message"))
        else:
            words = "can be read" if page else "can be read, is empty"
            if entity.name in ITEM_TYPES and not crm.fields_of(entity.name):
                words = "this portal has none"
            found.append(Finding(entity.name, True, words))
    return [*found, *_written(crm)]


def _clock(crm: Bitrix24, now: datetime) -> Iterator[Finding]:
    """A portal that stamps changes earlier than the overlap reaches back makes windows longer; see TellsItsTime."""
    try:
        there = moment(str(crm.portal.call("server.time", {})))
    except SourceError:
        return  # a courtesy: what matters is said by the entities
    behind = (now - there).total_seconds() if there else 0.0
    if abs(behind) <= CLOCK_SKEW:
        return
    message = f"the portal's clock and ours differ by {abs(behind):.0f} s"
    if behind > crm.capabilities.overlap_seconds:
        message += "; each read asks for as much more, because stamps look older than they are"
    yield Finding("clock", False, message, "set both by NTP, and see that their time zones are right")


def _written(crm: Bitrix24) -> Iterator[Finding]:
    """The fields that we write: the portal ignores silently what it does not know."""
    for kind, fields in crm.fields_written.items():
        if kind not in USER_FIELDS:
            continue  # a task has the vendor's fields only
        try:
            present = crm.fields_of(kind)
        except SourceError as error:
            yield Finding("user fields", False, str(error), "see the message")
            return
        for name in fields:
            if name in present:
                yield Finding(f"{kind} field {name}", True, "is there")
                continue
            message = f"the {kind} has no field {name}; what is written to it is lost"
            yield Finding(f"{kind} field {name}", False, message, _remedy(crm.mapping_file, kind, name))


def _remedy(mapping_file: str, kind: str, name: str) -> str:
    short = name.removeprefix("UF_CRM_")
    if short == name:
        return f"correct the name under `feedback` in {mapping_file}"
    type_ = USER_FIELDS[kind].get(name, "string")
    return (
        f"create it: CRM, Settings, Custom fields, {kind}, type {type_}; or call crm.{kind}.userfield.add "
        f'with fields {{"FIELD_NAME": "{short}", "USER_TYPE_ID": "{type_}"}}'
    )
