"""What `sverka sources check` says about an org, in words that its administrator can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from resources.connector import Finding, Refused, SourceError
from resources.crm.crm_source import behind
from resources.crm.salesforce.entities import FEATURES, KINDS, WRITTEN

if TYPE_CHECKING:
    from resources.crm.salesforce.connector import Salesforce

TYPES: Final = {"Debt__c": "Currency(16, 2)"}  # to create where a field of ours is missing; else text
_SEES_ALL: Final = (
    "SELECT Id FROM PermissionSetAssignment WHERE AssigneeId = '{user}' "
    "AND PermissionSet.PermissionsViewAllData = true LIMIT 1"
)


def findings(crm: Salesforce, now: datetime | None = None) -> Iterator[Finding]:
    """The connection and its allowance, the clock, the right to see all, the fields read and written.

    `now`: UTC, the present where not given. Raises SourceError where the org does not answer at all.
    """
    limits = crm.org.opened(crm.org.request("GET", "limits"), dict[str, Any], "limits")
    calls = limits.get("DailyApiRequests") or {}
    used, most = int(calls.get("Max", 0)) - int(calls.get("Remaining", 0)), int(calls.get("Max", 0))
    share = crm.judge.allowance.share
    yield Finding(
        "connection", True,
        f"the org answers; {used} of its {most} calls in 24 hours are used, and we stop at {share:.0%}",
    )  # fmt: skip
    if most and used > share * most:
        remedy = "raise daily_share, buy more calls, or let others use fewer"
        yield Finding("calls", False, "the share of the day's calls that is ours to use is used up", remedy)
    yield from behind(crm.judge.there, now or datetime.now(UTC), crm.capabilities.overlap_seconds)
    yield from _sight(crm)
    for entity, names in crm.fields_read.items():
        if entity in KINDS:
            yield from _read(crm, entity, list(names))
    for kind, names in crm.fields_written.items():
        if kind in WRITTEN:
            yield from _written(crm, kind, list(names))


def _sight(crm: Salesforce) -> Iterator[Finding]:
    """Rows that are not shared with the user are left out of every list in silence."""
    try:
        user = crm.org.user()
        rows = crm.org.queries([_SEES_ALL.format(user=user)])[0].records if user else None
    except Refused:
        rows = None
    if rows is None:
        message = "it cannot be told whether the user sees all records: others' would count as deleted"
        yield Finding("rights", True, message, "see that its permission set has View All Data")
    elif rows:
        yield Finding("rights", True, "the user sees all records")
    else:
        yield Finding(
            "rights", False,
            "the user lacks View All Data: records not shared with it are left out in silence, and count as deleted",
            "give it a permission set with View All Data (Setup, Permission Sets)",
        )  # fmt: skip


def _read(crm: Salesforce, entity: str, names: list[str]) -> Iterator[Finding]:
    try:
        crm.fields.describe([entity])
        absent = crm.fields.absent(entity, names)
    except SourceError as error:
        yield Finding(f"{entity} fields", False, str(error), "see the message")
        return
    for name, near in absent.items():
        message = crm.fields.missing(entity, name) + ", which the mapping reads"
        yield Finding(f"{entity} field {name}", False, message, crm.fields.remedy(near))
    described = crm.fields.of(entity)
    off = [n for n in names if n in FEATURES and described is not None and n not in described.fields]
    if off:
        message = (
            f"{', '.join(off)} not there: a feature that is off, or a right that is missing; read as empty"
        )
        yield Finding(f"{entity} features", True, message)
    if described is not None and not absent:
        yield Finding(f"{entity} fields", True, f"all {len(names)} that the mapping reads are there")


def _written(crm: Salesforce, kind: str, names: Sequence[str]) -> Iterator[Finding]:
    """Fields that we write; the key of tasks among them."""
    try:
        described = crm.org.describe([WRITTEN[kind]])[WRITTEN[kind]]
    except SourceError as error:
        yield Finding(f"{kind} fields", False, str(error), "see the message")
        return
    if described is None:
        message = f"the user does not see {WRITTEN[kind]}, which we write"
        yield Finding(f"{kind} fields", False, message, "give its permission set the right to edit it")
        return
    for name in names:
        field = described.fields.get(name)
        if field is None:
            remedy = (
                f"create it in Setup, Object Manager, {WRITTEN[kind]}, Fields & Relationships, type "
                f"{TYPES.get(name, 'Text(255)')}, and let the user's permission set edit it; or correct "
                f"{crm.mapping_file}"
            )
            yield Finding(
                f"{kind} field {name}", False, f"{WRITTEN[kind]} has no field {name}, which we write", remedy
            )
        elif not (field.updateable or kind == "task"):
            message = f"the user may not edit {WRITTEN[kind]}.{name}, which we write"
            yield Finding(f"{kind} field {name}", False, message, "let its permission set edit the field")
        else:
            yield Finding(f"{kind} field {name}", True, "can be written")
    key = described.fields.get(crm.task_key) if kind == "task" else None
    if kind == "task" and not crm.task_key:
        message = (
            "task_key names no field: tasks bear our key in their text, and a resend looks through the newest"
        )
        yield Finding("task key", True, message, "a custom external id field of Task is safer")
    elif kind == "task" and not (key is not None and key.external and key.unique):
        message = f"Task has no external id field {crm.task_key} that is unique, which task_key names"
        yield Finding(
            "task key", False, message, "create it (Text 255, External ID, Unique), or take task_key out"
        )
