"""The carrier of one target: it sends chunks of operations, reads them back, and settles what is uncertain."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import psycopg

from pipelines.aliases import learn, numbers
from pipelines.operations.bases import Base, bases, changed, changed_under, followed
from pipelines.operations.breaker import Breaker, Unsent
from pipelines.operations.carried import Carried, Operation, Owned, ReadBack, by_kind, chunks, decoded
from pipelines.operations.compare import differences, without
from pipelines.operations.entered import Held, entered_by_hand
from pipelines.operations.kept import ACTOR, Kept, Told
from pipelines.operations.ready import Ready, may_come_yet
from pipelines.operations.sending import Sender, Sending
from pipelines.operations.waiting import HELD, OUTRUN, READY
from pipelines.refresh import lock_changes
from resources.connector import (
    AssignsKeys,
    Conflict,
    Exists,
    Refused,
    SourceError,
    Target,
    Uncertain,
    Unposts,
    Written,
)
from resources.warehouse import Connection

CHUNK: Final = 500  # operations whose intent is committed together, and that are read back together
SHORT: Final = 250  # as many where we divide a chunk ourselves: less is left to be read back at the end
MAX_CHUNKS: Final = 100_000  # of one carry: a bound, not a target
MAX_READ_AGAIN: Final = 1_000  # held operations that one carry reads back again
MAX_ATTEMPTS: Final = 5  # of one operation; after them it is planned: once a sync, or as a person approves it


class Carrier:
    def __init__(
        self,
        conn: Connection,
        target: Target,
        run_id: str,
        pool: ThreadPoolExecutor,
        carried: Carried,
        read_back: ReadBack | None,
        entities: Mapping[str, str],
        *,
        overlaps: bool,
        owned: Owned | None = None,
    ) -> None:
        self.conn, self.target, self.run_id = conn, target, run_id
        self.entities = entities
        self.owned: Owned = owned or (lambda kind, is_posted: ())
        self.remedy = ""
        self.carried, self.read_back = carried, read_back
        self.posted_field = target.capabilities.posted
        self.version_field = target.capabilities.version
        self.kept = Kept(conn, run_id, self.version_field)
        self.breaker = Breaker(conn, target.system, run_id)
        self.overtaken: set[UUID] = set()  # somebody changed the record before our write came
        self.ready = Ready(conn, target.system)
        self.sender = Sender(target, self.breaker, pool)
        self.size = CHUNK if self.sender.divides else min(CHUNK, SHORT)
        self.overlaps = overlaps  # a chunk is sent while the one before it is read back
        self.under_way: Sending | None = None
        self.intended: list[Sending] = []  # whose intent is committed, and whose answers are not kept yet

    def settle_interrupted(self) -> frozenset[UUID]:
        """What a dead run left: `sent` is uncertain now; probe it all, and verify what was confirmed. Those are given
        that were uncertain."""
        left = self._select("state = 'sent'")
        self.kept.move(left, "uncertain", "the run that sent it ended before the answer")
        uncertain = self._select("state = 'uncertain'")
        self._probe(uncertain)
        self._verify(self._select("state = 'confirmed'"))
        return frozenset(o.operation_id for o in uncertain)

    def read_again(self) -> None:
        """What did not read back as it was sent may do so by now: an accountant put it right, or a newer
        write took its place. Reads only; a find a chunk."""
        lock_changes(self.conn)
        outrun = self._select(OUTRUN, limit=MAX_READ_AGAIN)
        self.kept.move(outrun, "superseded", "a newer write of it is verified")
        # Of more than the bound, others each time.
        held = self._select(HELD, limit=MAX_READ_AGAIN, order="random()")
        for kind, group in by_kind(held).items():
            for chunk in chunks(group, CHUNK):
                found = self._find(kind, chunk)
                if found is None:
                    continue
                faults = {o.operation_id: self._fault(o, found.get(o.key)) for o in chunk}
                self.kept.tell_anew({of: fault for of, fault in faults.items() if fault})
                equal = [o for o in chunk if not faults[o.operation_id]]
                if not equal:
                    continue
                if self.read_back is not None:
                    self.read_back(kind, {o.key: found[o.key] for o in equal})
                lock_changes(self.conn)  # a plan may have changed it or taken it back while we read
                ids = [o.operation_id for o in equal]
                still = self._select(f"o.operation_id = any(%s) and {HELD}", [ids])
                equal = [o for o in still if not self._fault(o, found[o.key])]
                self.kept.versions(equal, found)
                self.kept.mark(equal, None)
                self.kept.move(equal, "verified", "read back again, and equal now")
                self.carried.mended += len(equal)

    def carry_chunk(self) -> bool:
        """One chunk of one kind and action; False when nothing is left that could be sent.

        Of many the next one is on its way while this one is read back, as long as all goes well. Its intent is
        committed while this one is being sent, so that the target waits for no work of ours in between.
        """
        sending, self.under_way = self.under_way, None
        if sending is None:
            sending = self._intend()
            if sending is None:
                return False
            self._leave(sending)
        # What waits for the chunk at hand is not free yet, and so is not in the following one.
        following = self._intend() if self._may_follow(sending) else None
        if following is not None and sending.await_room(following.chunk):
            self._leave(following)
        confirmed, uncertain = self._record(sending.chunk, sending.answers())
        self.intended.remove(sending)
        confirmed += self._probe(uncertain)
        self._verify(confirmed)
        if following is not None and not following.has_begun:
            self._leave(following)
        self.under_way = following
        return True

    def put_back(self) -> None:
        """The carry is ended by a stop or an error of ours: what never left goes on with the next one as if it had
        not been tried. Of what left and is not recorded nothing is known; it stays as after a crash."""
        never_left = [o.operation_id for sending in self.intended for o in sending.end()]
        if not never_left:
            return
        with contextlib.suppress(psycopg.Error):  # without a database it stays as after a crash, too
            self.conn.rollback()
            rows = self.conn.execute(
                "update ops.operation set attempts = attempts - 1 where operation_id = any(%s) and state = 'sent'"
                " returning operation_id",
                [never_left],
            ).fetchall()
            for state, reason in (("planned", "the run ended before it left"), ("approved", "to be sent")):
                self.conn.execute(
                    "select ops.move_many(%s::uuid[], %s, %s, %s, null, %s)",
                    [[row[0] for row in rows], state, ACTOR, reason, self.run_id or None],
                )
            self.conn.commit()

    def _may_follow(self, sending: Sending) -> bool:
        """Whether another chunk is looked for while this one is on its way: nothing stops us, and more may wait."""
        stops = self.carried.stopped or self.breaker.tripped or self.breaker.is_trying
        return self.overlaps and not stops and len(sending.chunk) == self.size

    def _intend(self) -> Sending | None:
        """The next that may leave, of one kind and action, parents first, with their intent committed; None without any."""
        for _ in range(MAX_CHUNKS):
            ids = self.ready.take(1 if self.breaker.is_trying else self.size)
            if not ids:
                break
            lock_changes(self.conn)  # a plan under way may change what we choose, or take it back
            if chunk := self._select(f"o.operation_id = any(%s) and {READY}", [ids]):
                sending = Sending(self.sender, chunk)
                self.intended.append(
                    sending
                )  # before the commit: whatever ends us right after it must find it
                self.kept.move(chunk, "sent", None)
                return sending
        self.conn.rollback()
        return None

    def _leave(self, sending: Sending) -> None:
        """Begin to send a chunk whose intent is committed, but for what of it the target has already."""
        there, to_mend = ({}, {}) if self.breaker.tripped else self._there_already(sending.chunk)
        if not self.breaker.tripped:
            there = {**self._without_base([o for o in sending.chunk if o.key not in there]), **there}
            there = {
                **self._entered([o for o in sending.chunk if o.key not in there and o.key not in to_mend]),
                **there,
            }
        sending.chunk = [to_mend.get(o.key, o) for o in sending.chunk]
        sending.begin(there)

    def _select(
        self,
        condition: str,
        parameters: Sequence[Any] = (),
        limit: int | None = None,
        order: str = "o.planned_at, o.operation_id",
    ) -> list[Operation]:
        rows = self.conn.execute(
            f"""
            select o.operation_id, o.kind, o.action, o.key, coalesce(o.subject, ''), o.body::text, o.attempts,
                   (select p.version from ops.operation p where p.target = o.target and p.kind = o.kind
                       and p.key = o.key and p.version is not null and p.state <> 'superseded' order by p.changed_at desc limit 1)
            from ops.operation o where o.target = %s and {condition}
            order by {order} {f"limit {limit}" if limit else ""}
            """,
            [self.target.system, *parameters],
        ).fetchall()
        bodies = self._named_theirs([row[5] for row in rows])
        return [
            Operation(operation_id, kind, action, key, subject, decoded(body), attempts, version)
            for (operation_id, kind, action, key, subject, _, attempts, version), body in zip(
                rows, bodies, strict=True
            )
        ]

    def _named_theirs(self, bodies: Sequence[str | None]) -> Sequence[str | None]:
        """Bodies in which the records that we wrote stand under the numbers that the target gave them."""
        if not isinstance(self.target, AssignsKeys):
            return bodies
        named = {key for body in bodies if body for key in _OUR_KEY.findall(body)}
        if not named:
            return bodies
        known = numbers(self.conn, self.target.system, list(named))
        return [body and _OUR_KEY.sub(lambda found: known.get(found[0], found[0]), body) for body in bodies]

    def _learn(self, kind: str, given: Mapping[str, str]) -> None:
        """Keep the numbers that the target gave to records of ours, by our keys."""
        if given and isinstance(self.target, AssignsKeys):
            theirs = {number: key for key, number in given.items() if number}
            learn(self.conn, self.target.system, self.entities.get(kind, kind), theirs)

    def _there_already(
        self, chunk: Sequence[Operation]
    ) -> tuple[dict[str, Written | Exception], dict[str, Operation]]:
        """Creates that were sent once before and that the target has: they are read back, never created again.

        Second, by key, those that were read back otherwise, and that a person lets go again: where nobody changed them
        since, they are written again as updates of what is there. Without versions nobody could tell.
        """
        again = [o for o in chunk if o.action == "create" and o.attempts > 0]
        if not again:
            return {}, {}
        found = self._find(again[0].kind, again)
        if found is None:
            silent = Uncertain(f"{self.target.system}: it did not say whether it has this already")
            return {o.key: silent for o in again}, {}
        there: dict[str, Written | Exception] = {}
        to_mend: dict[str, Operation] = {}
        for operation in (o for o in again if o.key in found):
            body = found[operation.key]
            meant = without(operation.body, self.owned(operation.kind, bool(body.get(self.posted_field))))
            if not operation.version or not differences(meant, body):
                there[operation.key] = Written(operation.key, {})
            elif str(body.get(self.version_field, "")) == operation.version:
                to_mend[operation.key] = replace(operation, action="update", body=meant)
            else:
                there[operation.key] = Conflict(
                    f"{self.target.system}: it was changed since it was read back"
                )
        return there, to_mend

    def _without_base(self, chunk: Sequence[Operation]) -> dict[str, Written | Exception]:
        """Corrections and returns of what accounting does not hold any more as we know it, and changes of it: they do not leave."""
        if not chunk:
            return {}
        begins = "unpost" if isinstance(self.target, Unposts) else "update"  # a change of what is posted
        if (chunk[0].kind, chunk[0].action) == ("realization", begins):
            return {**changed_under(self.conn, self.target, chunk, self.breaker)}
        if chunk[0].action == "update" or chunk[0].kind not in ("correction", "return"):
            return {}
        told: dict[str, Written | Exception] = {}
        rests_on = bases(self.conn, [o.operation_id for o in chunk])
        for kind, group in by_kind(rests_on).items():
            found = self._find(kind, group)
            bodies = self._named_theirs([base.body for base in group])
            for base, written in zip(group, map(decoded, bodies), strict=True):
                if found is None:
                    told[base.follower] = Unsent(f"{self.target.system}: it did not show what this rests on")
                elif refusal := changed(
                    self.target.system,
                    base,
                    found.get(base.key),
                    self.version_field,
                    self.posted_field,
                    without(written, self.owned(kind, True)),
                ):
                    told[base.follower] = refusal
        left = [base for base in rests_on if not isinstance(told.get(base.follower), Unsent)]
        return {**told, **followed(self.conn, self.target, left, self.breaker)}

    def _entered(self, chunk: Sequence[Operation]) -> dict[str, Exception]:
        """Creates of what somebody entered in accounting by hand meanwhile: they do not leave."""
        self.conn.commit()  # no transaction stays open while we wait for the target
        try:
            return {**entered_by_hand(self.target, chunk)}
        except SourceError as error:
            self.breaker.note(error)
            self.breaker.keep(self.carried)
            silent = Unsent(
                f"{self.target.system}: it did not say whether it has this already: {error}", retriable=True
            )
            return {o.key: silent for o in chunk}

    def _record(
        self, chunk: Sequence[Operation], answers: Sequence[Written | Exception]
    ) -> tuple[list[Operation], list[Operation]]:
        confirmed: list[Operation] = []
        uncertain: list[Operation] = []
        outcomes: dict[str, list[tuple[Operation, str]]] = {
            "rejected": [],
            "planned": [],
            "uncertain": [],
            "held": [],
        }
        codes: dict[UUID, str] = {}
        for operation, answer in zip(chunk, answers, strict=True):
            match answer:
                case Written():
                    confirmed.append(operation)
                case Exists() | Conflict():
                    # Exists: an earlier try got through; Conflict: somebody changed it. Reading back decides.
                    confirmed.append(operation)
                    if isinstance(answer, Conflict):
                        self.overtaken.add(operation.operation_id)
                case Uncertain():
                    uncertain.append(operation)
                    outcomes["uncertain"].append((operation, str(answer)))
                case Refused():
                    outcomes["rejected"].append((operation, str(answer)))
                    codes[operation.operation_id] = answer.code
                    self.carried.rejected += 1
                case Held():
                    outcomes["held"].append((operation, str(answer)))
                    self.carried.held += 1
                case _:
                    outcomes["planned"].append((operation, str(answer)))
                    self.carried.put_back += not isinstance(answer, Unsent)
        if chunk:
            given = {
                o.key: answer.key
                for o, answer in zip(chunk, answers, strict=True)
                if isinstance(answer, Written) and o.action == "create" and answer.key != o.key
            }
            self._learn(chunk[0].kind, given)
        self.kept.move(confirmed, "confirmed", None)
        self._send_again(outcomes.pop("planned"))
        for state, told in outcomes.items():
            self.kept.move_each(told, state, codes)
        self.breaker.never_left([o.operation_id for o in chunk], answers)
        self.breaker.keep(self.carried)
        return confirmed, uncertain

    def _probe(self, uncertain: Sequence[Operation]) -> list[Operation]:
        """Ask the target what became of uncertain operations. Unanswered ones stay uncertain."""
        there: list[Operation] = []
        absent: list[tuple[Operation, str]] = []
        creates = [o.operation_id for o in uncertain if o.action == "create"]
        fresh = may_come_yet(self.conn, creates, self.target.capabilities.settles_after)
        for kind, group in by_kind(uncertain).items():
            found = self._find(kind, group)
            if found is None:
                self.carried.uncertain += len(group)
                continue
            for operation in group:
                self.carried.probed += 1
                body = found.get(operation.key)
                if body is not None and self._is_done(operation, body):
                    there.append(operation)
                elif operation.operation_id in fresh:
                    self.carried.uncertain += 1
                else:
                    absent.append((operation, "the target does not have it: it is sent again"))
        self.kept.move(there, "confirmed", "a probe found it in the target")
        self._send_again(absent)
        return there

    def _send_again(self, told: Told) -> None:
        """Plan each again for its reason; it stays approved, after many tries only where the target and not the record
        is the cause. In one transaction: a plan would take a planned one for its own."""
        outage = self.breaker.tripped or self.breaker.open is not None
        again = [o for o, _ in told if outage or o.attempts + 1 < MAX_ATTEMPTS]
        self.kept.move_each(told, "planned", ends=False)
        self.kept.move(again, "approved", "to be sent again")

    def _is_done(self, operation: Operation, body: Mapping[str, Any]) -> bool:
        match operation.action:
            case "post":
                return bool(body.get(self.posted_field))
            case "unpost":
                return not body.get(self.posted_field)
            case "update":
                return not differences(operation.body, body)
            case _:
                return True

    def _verify(self, confirmed: Sequence[Operation]) -> None:
        """Read back what was confirmed; equal is verified, anything else waits for a person."""
        for kind, group in by_kind(confirmed).items():
            found = self._find(kind, group)
            if found is None:
                continue  # stays confirmed; the next carry verifies it
            if self.read_back is not None:
                self.read_back(kind, found)
            overtaken = [o for o in group if o.operation_id in self.overtaken]
            self.overtaken -= self.kept.halves(overtaken, found)
            good: list[Operation] = []
            wrong: list[tuple[Operation, str]] = []
            undone: list[Operation] = []
            for operation in group:
                body = found.get(operation.key)
                fault = self._fault(operation, body)
                if not fault:
                    good.append(operation)
                elif body is not None and self._is_as_before(operation, body):
                    undone.append(operation)
                else:
                    wrong.append((operation, fault))
            self.kept.versions(good, found)
            self.kept.move(good, "verified", "read back and equal")
            # The version that is told to a person: written again, it is that one which is to be overwritten.
            halves = [
                o for o, _ in wrong
                if o.action in ("create", "update") and o.key in found and o.operation_id not in self.overtaken
            ]  # fmt: skip
            self.kept.versions(halves, found)
            self.kept.move_each(wrong, "held", versions=self.kept.versions_of(halves, found), ends=False)
            self.kept.mark([o for o, _ in wrong], "read_back")
            self.conn.commit()
            self.carried.held += len(wrong)
            before = "answered as done, and the record is at the version from before"
            self.kept.move(undone, "uncertain", before, ends=False)
            self.kept.move(undone, "planned", "nothing came of it: it is sent again", ends=False)
            self.kept.move(undone, "approved", "to be sent again")
            self.carried.put_back += len(undone)
            for operation in good:
                name = f"{operation.kind} {operation.action}"
                self.carried.verified[name] = self.carried.verified.get(name, 0) + 1

    def _is_as_before(self, operation: Operation, body: Mapping[str, Any]) -> bool:
        """Whether nothing came of a change that was answered as done: an answer that a proxy repeated, a transaction
        that was undone after it. The record is at the version that we knew, so nobody else's work is in it either."""
        return (
            operation.action in ("update", "post", "unpost")
            and operation.attempts + 1 < MAX_ATTEMPTS
            and bool(self.version_field and operation.version)
            and str(body.get(self.version_field, "")) == operation.version
        )

    def _fault(self, operation: Operation, body: Mapping[str, Any] | None) -> str:
        if body is None:
            return f"{self.target.system} answered that it saved this {operation.kind}, but does not hold it"
        if operation.action == "post":
            return (
                ""
                if body.get(self.posted_field)
                else f"{self.target.system} answered, but the document is not posted"
            )
        if operation.action == "unpost":
            return (
                f"{self.target.system} answered, but the document is still posted"
                if body.get(self.posted_field)
                else ""
            )
        # What is accounting's may be otherwise as soon as it holds it: whoever changed it may be there before we look.
        meant = without(operation.body, self.owned(operation.kind, bool(body.get(self.posted_field))))
        told = differences(meant, body)
        if told and operation.operation_id in self.overtaken:
            return (
                f"somebody changed this {operation.kind} in {self.target.system} before our change came, and ours was"
                f" not made: {'; '.join(told)}. Make one agree with the other, there or in the CRM"
            )
        if not told:
            return ""
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{self.target.system} holds something else than was sent: {'; '.join(told)}{remedy}"

    def _find(self, kind: str, group: Sequence[Operation | Base]) -> dict[str, Mapping[str, Any]] | None:
        self.conn.commit()  # no transaction stays open while we wait for the target
        try:
            found = self.target.find(kind, [operation.key for operation in group])
            if isinstance(self.target, AssignsKeys):
                target = self.target
                self._learn(kind, {key: target.key_of(kind, body) for key, body in found.items()})
                self.conn.commit()
            self.breaker.heard()
            return found
        except SourceError as error:
            self.breaker.note(error)
            self.breaker.keep(self.carried)
            return None


# Our keys are UUIDs; nothing else of a body looks like one that we have an alias for.
_OUR_KEY: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
