"""What `sverka sources check` says about a Zoho organization, in words that its administrator can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from resources.connector import Finding, Refused, SourceError
from resources.crm.crm_source import behind
from resources.crm.zoho.bulk import PATH
from resources.crm.zoho.entities import LINES, MODULES, WRITTEN, decode
from resources.crm.zoho.fields import absent_fields, remedy
from resources.crm.zoho.write import PLAIN, TASK_KEY

if TYPE_CHECKING:
    from resources.crm.zoho.connector import Zoho

ADMINISTRATOR: Final = "Administrator"
KINDS: Final = {"Debt": "Currency"}  # what to create where a field of ours is missing; else a single line
REMEDY: Final = "see the message"


def findings(crm: Zoho, now: datetime | None = None) -> Iterator[Finding]:
    """The connection, the clock, the user, the credits, the rights to lines and bulk jobs, the fields of the mapping.

    `now`: UTC, the present where not given. Raises SourceError where the organization does not answer at all.
    """
    about, there = crm.org.about()
    edition = (about.get("license_details") or {}).get("paid_type") or "unknown"
    yield Finding(
        "connection", True,
        f"{about.get('company_name')} answers; edition {edition}, currency {about.get('iso_code')}",
    )  # fmt: skip
    yield from behind(there, now or datetime.now(UTC), crm.capabilities.overlap_seconds)
    yield from _user(crm)
    left = crm.org.credits.left
    told = "more than half are left" if left is None else f"{left:.0f} are left"
    yield Finding("credits", True, f"of the day's API credits {told}")
    yield from _rights(crm)
    for entity, names in crm.fields_read.items():
        if entity in MODULES:
            yield from _fields(
                crm, entity, [name for name in names if name != LINES], "which the mapping reads"
            )
    for kind, names in crm.fields_written.items():
        ours = [TASK_KEY] if kind == "task" else []
        if kind in WRITTEN:
            yield from _fields(
                crm, kind, [*(name for name in names if name not in PLAIN), *ours], "which we write"
            )


def _user(crm: Zoho) -> Iterator[Finding]:
    try:
        rows = crm.org.all_rows("users", "users", {"type": "CurrentUser"})
    except SourceError as error:
        yield Finding("user", False, str(error), REMEDY)
        return
    user: Mapping[str, Any] = decode(rows[0]) if rows else {}
    profile = (user.get("profile") or {}).get("name")
    if profile == ADMINISTRATOR:
        yield Finding("user", True, f"{user.get('full_name')} is an administrator")
    else:
        yield Finding(
            "user", False,
            f"{user.get('full_name')} has the profile {profile}: records and fields that it does not show are left "
            "out in silence, and count as deleted",
            "let an administrator make the token, or see that the profile and its role show every record and field",
        )  # fmt: skip


def _rights(crm: Zoho) -> Iterator[Finding]:
    try:
        crm.org.fields(LINES, anew=True)
    except SourceError as error:
        yield Finding("lines", False, str(error), "without the lines of sales orders deals owe no documents")
    else:
        yield Finding("lines", True, "the lines of sales orders can be read")
    try:
        crm.org.ask("GET", f"{PATH}/1")
    except Refused:
        pass  # there is no job 1: the question itself was allowed
    except SourceError as error:
        yield Finding("bulk", False, str(error), "add the scope ZohoCRM.bulk.ALL to the token")
        return
    yield Finding("bulk", True, "bulk jobs are allowed")


def _fields(crm: Zoho, entity: str, names: Sequence[str], words: str) -> Iterator[Finding]:
    module = WRITTEN.get(entity) or MODULES[entity].name
    try:
        absent = absent_fields(crm.org, module, [name for name in names if not name.startswith("$")])
    except SourceError as error:
        yield Finding(f"{entity} fields", False, str(error), REMEDY)
        return
    if not absent:
        yield Finding(f"{entity} fields", True, f"all fields of {module} {words} are there")
    for name, near in absent.items():
        how = "" if near else f"; in Setup, Modules and Fields, as {KINDS.get(name, 'Single line')}"
        how += ", which takes no duplicates" if name == TASK_KEY else ""
        yield Finding(
            f"{entity} field {name}",
            False,
            f"{module} has no field {name}, {words}",
            remedy(near, crm.mapping_file) + how,
        )
