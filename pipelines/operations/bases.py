"""What corrections and returns rest on, looked at once more before they leave, and before they are posted.

Between the plan and the sending a person may have changed, unposted or deleted the document that is to be corrected or
taken back, or an earlier correction of it: what follows would not lead to what was meant. It is refused, and goes on once
what it rests on has been read and is as we left it. So it is where he has corrected or taken back that document himself since
accounting was read: the target is asked for what follows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pipelines.operations.breaker import Breaker, Unsent
from pipelines.operations.carried import Operation, by_kind
from pipelines.operations.compare import differences
from pipelines.operations.revisions import AMISS_BESIDE, BY_HAND
from resources.connector import Refused, ShowsFollowers, SourceError, Target
from resources.warehouse import Connection, trusted

EDITED: Final = "edited"  # the code of a refusal of ours: accounting holds otherwise what is changed, corrected or taken back


@dataclass(frozen=True, slots=True)
class Base:
    """The document that the record `follower` corrects or takes back, or an earlier correction of that. `versions`: those that
    we know of it; `ours` the last that a write of ours gave. `is_passed_over`: a correction that was not in the books when the
    follower was decided. `body`: what we last wrote of a correction, whose lines are not read."""

    follower: str
    kind: str
    key: str
    versions: frozenset[str]
    is_passed_over: bool
    amiss: str  # how it was held when it was last read, where that is not as we left it
    ours: str
    body: str | None


def bases(conn: Connection, operations: Sequence[UUID]) -> list[Base]:
    """What each of these creates or postings of a correction or return rests on."""
    is_read = conn.execute("select to_regclass('ledger.document') is not null").fetchone() == (True,)
    as_read = "array(select l.version from ledger.document l where l.document_key = b.target || ':' || b.key)"
    statement = _BASES.format(
        as_read=as_read if is_read else "'{}'", amiss=AMISS_BESIDE if is_read else "null"
    )
    rows = conn.execute(trusted(statement), {"ids": list(operations)}).fetchall()
    return [
        Base(
            follower, kind, key, frozenset(filter(None, known)), is_passed_over, amiss or "", ours or "", body
        )
        for follower, kind, key, known, is_passed_over, amiss, ours, body in rows
    ]


def go_on(conn: Connection, system: str, actor: str, run_id: str) -> int:
    """Let go what was refused for what it rests on, of the deals in `scope`, where that has been read by now and is as we left it,
    or is to be changed all the same; how many. What is sent is what was refused, so whoever had to approve it has done so."""
    ids = [row[0] for row in conn.execute(trusted(_READ_BY_NOW), {"system": system}).fetchall()]
    if not ids:
        return 0
    for state in ("planned", "approved"):
        conn.execute(
            "select ops.move_many(%s::uuid[], %s, %s, %s, null, nullif(%s, ''))",
            [ids, state, actor, "accounting was read again, and nothing stands against it", run_id],
        )
    return len(ids)


def changed(
    system: str,
    base: Base,
    body: Mapping[str, Any] | None,
    version_field: str,
    posted_field: str = "",
    written: Mapping[str, Any] | None = None,
) -> Refused | None:
    """Why nothing may follow a document that is held like this by now; None where it is as we know it. `written`: what we wrote
    of it, where its lines are to be compared."""
    if base.is_passed_over and not (body and body.get(posted_field)):
        return None  # it is still not in the books
    if base.is_passed_over:
        return Refused(
            f"{system}: a {base.kind} that was a draft was posted in accounting since; unpost it there first",
            code=EDITED,
        )
    if body is None:
        return Refused(
            f"{system}: the {base.kind} that it rests on is not in accounting any more", code=EDITED
        )
    if base.amiss:
        return _not_as_left(system, f"the {base.kind} that it rests on", base.amiss)
    if version_field and str(body.get(version_field, "")) not in base.versions:
        return Refused(
            f"{system}: the {base.kind} that it rests on was changed in accounting since it was read; the next sync looks"
            " at it again",
            code=EDITED,
        )
    if version_field and written and str(body.get(version_field, "")) != base.ours:
        lines = {name: rows for name, rows in written.items() if isinstance(rows, list)}
        if told := differences(lines, body):
            return Refused(
                f"{system}: the {base.kind} that it rests on has other lines in accounting than we wrote ({'; '.join(told)});"
                " put that right there first",
                code=EDITED,
            )
    return None


def _not_as_left(system: str, what: str, how: str) -> Refused:
    return Refused(
        f"{system}: {what}, or a correction of it, is not as we left it in accounting ({how}); put that right there first",
        code=EDITED,
    )


def followed(
    conn: Connection, target: Target, found: Sequence[Base], breaker: Breaker
) -> dict[str, SourceError]:
    """By record that is to leave why it does not: an accountant corrected or took back himself what it rests on, and that has not
    been read yet. One question for all of one kind, of targets that show it."""
    rest_on = [base for base in found if base.kind != "correction"]
    told: dict[str, SourceError] = {}
    for kind, group in by_kind(rest_on).items():
        what = f"the {kind} that it rests on"
        by_hand = _by_hand(conn, target, kind, [base.key for base in group], breaker, _OURS, what)
        told |= {base.follower: by_hand[base.key] for base in group if base.key in by_hand}
    return told


def changed_under(
    conn: Connection, target: Target, chunk: Sequence[Operation], breaker: Breaker
) -> dict[str, SourceError]:
    """As `followed`, of posted sales that are to be changed themselves. What has been read the plan knew of."""
    is_read = conn.execute("select to_regclass('ledger.document') is not null").fetchone() == (True,)
    known = f"{_OURS} union {_SEEN}" if is_read else _OURS
    kind = chunk[0].kind
    return _by_hand(conn, target, kind, [o.key for o in chunk], breaker, known, f"this {kind}")


def _by_hand(
    conn: Connection, target: Target, kind: str, keys: Sequence[str], breaker: Breaker, known: str, what: str
) -> dict[str, SourceError]:
    """By key of a document why nothing happens to it: there is a correction or return of it that is not `known`. `what`: how the
    document is called."""
    if not isinstance(target, ShowsFollowers) or not target.base_paths:
        return {}
    conn.commit()  # no transaction stays open while we wait for the target
    try:
        followers = target.followers(kind, list(dict.fromkeys(keys)))
    except SourceError as error:
        silent = f"{target.system}: it did not show what follows {what}: {error}"
        if error.retriable:
            breaker.note(error)
        reason = Unsent(silent, retriable=True) if error.retriable else Refused(silent, code=EDITED)
        return dict.fromkeys(keys, reason)
    there = sorted({key for some in followers.values() for key in some})
    parameters = {"system": target.system, "keys": there}
    expected = {row[0] for row in conn.execute(trusted(known), parameters).fetchall()} if there else set()
    by_hand = [key for key, some in followers.items() if set(some) - expected]
    return {key: _not_as_left(target.system, what, BY_HAND) for key in by_hand}


_OURS: Final = """
    select key from ops.operation where target = %(system)s and kind in ('correction', 'return') and key = any(%(keys)s)
"""

_SEEN: Final = """
    select k.key from unnest(%(keys)s::text[]) as k(key)
    join ledger.document l on l.document_key = %(system)s || ':' || k.key and l.is_posted and not l.is_deleted
"""

_BASES: Final = """
    select o.key, b.kind, b.key, {as_read} || array(
        select x.version from ops.operation x
        where x.target = b.target and x.kind = b.kind and x.key = b.key and x.version is not null),
        b.kind = 'correction' and not exists (
            select from ops.operation x
            where x.target = b.target and x.kind = b.kind and x.key = b.key and x.action = 'post' and x.state = 'verified')
        and exists (select from ops.setting s where s.system = b.target and s.name = 'post_correction' and s.value = 'true'),
        case when b.kind <> 'correction' then {amiss} end,
        (select x.version from ops.operation x
          where x.target = b.target and x.kind = b.kind and x.key = b.key and x.state = 'verified' and x.version is not null
          order by x.changed_at desc limit 1),
        case when b.kind = 'correction' then (
            select x.body::text from ops.operation x
            where x.target = b.target and x.kind = b.kind and x.key = b.key and x.action in ('create', 'update')
              and x.state = 'verified'
            order by x.planned_at desc, x.action desc limit 1) end
    from ops.operation o
    join ops.operation c on c.target = o.target and c.kind = o.kind and c.key = o.key and c.action = 'create'
    cross join lateral (
        select x.* from ops.operation x
        where x.target = c.target and x.action = 'create'
          and x.key = substr(c.content #>> '{{document,base_key}}', length(c.target) + 2)
        union all
        select x.* from ops.operation x
        where x.target = c.target and x.subject = c.subject and x.kind = 'correction' and x.action = 'create'
          and x.state = 'verified' and x.content #>> '{{document,base_key}}' = c.content #>> '{{document,base_key}}'
          and x.key <> c.key
    ) b
    where o.operation_id = any(%(ids)s) and o.action in ('create', 'post') and o.kind in ('correction', 'return')
"""

# Of operation `o`: the code of its last refusal.
_LAST_CODE: Final = """(select e.answer ->> 'code' from ops.operation_event e
            where e.operation_id = o.operation_id and e.to_state = 'rejected'
            order by e.event_id desc limit 1)"""

# Of the deals in scope: refused for what it rests on, which is as we left it by now.
_READ_BY_NOW: Final = f"""
    select o.operation_id
    from ops.operation o
    join scope on scope.key = o.subject
    join desired d on d.key = o.key and d.kind = o.kind
    join ops.operation c on c.target = o.target and c.kind = o.kind and c.key = o.key and c.action = 'create'
    join ops.operation b on b.target = c.target and b.action = 'create'
     and b.key = substr(c.content #>> '{{document,base_key}}', length(c.target) + 2)
    where o.target = %(system)s and o.kind in ('correction', 'return') and o.action in ('create', 'post')
      and o.state = 'rejected' and d.hold is null
      and {_LAST_CODE} = '{EDITED}'
      and {AMISS_BESIDE} is null
    union
    -- A change of a sale, which is decided by what was read since: it comes to the same sum.
    select o.operation_id
    from ops.operation o
    join desired d on d.key = o.key and d.kind = o.kind
    join standing s on s.operation_id = d.operation_id and s.action = 'update' and s.version = o.version
    where o.target = %(system)s and o.kind = 'realization' and o.action in ('unpost', 'update') and o.state = 'rejected'
      and d.hold is null and {_LAST_CODE} = '{EDITED}'
"""
