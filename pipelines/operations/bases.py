"""What corrections and returns rest on, looked at once more before they leave.

Between the plan and the sending a person may have changed, unposted or deleted the document that is to be corrected or
taken back, or an earlier correction of it: what follows would not lead to what was meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pipelines.operations.revisions import AMISS
from resources.connector import Refused
from resources.warehouse import Connection, trusted


@dataclass(frozen=True, slots=True)
class Base:
    """The document that the record `follower` corrects or takes back, or an earlier correction of that. `versions`: those that
    we know of it. `is_passed_over`: a correction that was not in the books when the follower was decided."""

    follower: str
    kind: str
    key: str
    versions: frozenset[str]
    is_passed_over: bool
    amiss: str  # how it was held when it was last read, where that is not as we left it


def bases(conn: Connection, operations: Sequence[UUID]) -> list[Base]:
    """What each of these creates of a correction or return rests on."""
    is_read = conn.execute("select to_regclass('ledger.document') is not null").fetchone() == (True,)
    as_read = "array(select l.version from ledger.document l where l.document_key = b.target || ':' || b.key)"
    statement = _BASES.format(as_read=as_read if is_read else "'{}'", amiss=AMISS if is_read else "null")
    rows = conn.execute(trusted(statement), {"ids": list(operations)}).fetchall()
    return [
        Base(follower, kind, key, frozenset(filter(None, known)), is_passed_over, amiss or "")
        for follower, kind, key, known, is_passed_over, amiss in rows
    ]


def changed(
    system: str, base: Base, body: Mapping[str, Any] | None, version_field: str, posted_field: str = ""
) -> Refused | None:
    """Why nothing may follow a document that is held like this by now; None where it is as we know it."""
    if base.is_passed_over and not (body and body.get(posted_field)):
        return None  # it is still not in the books
    if base.is_passed_over:
        return Refused(
            f"{system}: a {base.kind} that was a draft was posted in accounting since; unpost it there first",
            code="edited",
        )
    if body is None:
        return Refused(
            f"{system}: the {base.kind} that it rests on is not in accounting any more", code="edited"
        )
    if base.amiss:
        return Refused(
            f"{system}: the {base.kind} that it rests on, or a correction of it, is not as we left it in accounting ({base.amiss});"
            " put that right there first",
            code="edited",
        )
    if version_field and str(body.get(version_field, "")) not in base.versions:
        return Refused(
            f"{system}: the {base.kind} that it rests on was changed in accounting since it was read; the next sync looks"
            " at it again",
            code="edited",
        )
    return None


_BASES: Final = """
    select o.key, b.kind, b.key, {as_read} || array(
        select x.version from ops.operation x
        where x.target = b.target and x.kind = b.kind and x.key = b.key and x.version is not null),
        b.kind = 'correction' and not exists (
            select from ops.operation x
            where x.target = b.target and x.kind = b.kind and x.key = b.key and x.action = 'post' and x.state = 'verified')
        and exists (select from ops.setting s where s.system = b.target and s.name = 'post_correction' and s.value = 'true'),
        case when b.kind <> 'correction' then {amiss} end
    from ops.operation o
    cross join lateral (
        select x.* from ops.operation x
        where x.target = o.target and x.action = 'create'
          and x.key = substr(o.content #>> '{{document,base_key}}', length(o.target) + 2)
        union all
        select x.* from ops.operation x
        where x.target = o.target and x.subject = o.subject and x.kind = 'correction' and x.action = 'create'
          and x.state = 'verified' and x.content #>> '{{document,base_key}}' = o.content #>> '{{document,base_key}}'
    ) b
    where o.operation_id = any(%(ids)s) and o.action = 'create' and o.kind in ('correction', 'return')
"""
