"""Carrying more than a chunk: the next one is on its way while this one is read back, and nothing else changes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid5

import pytest

from pipelines.operations import breaker
from pipelines.operations.carry import carry
from pipelines.operations.ready import Ready, may_come_yet
from pipelines.refresh import lock_changes
from pipelines.signals import Stopped, heeded
from resources.connector import Capabilities, Refused, Rows, SourceError, Written
from resources.warehouse import Warehouse

HERE = UUID("7b0a3f52-64c5-4f0e-9d6d-6f9a4f1d2c31")
SECONDS = 10.0  # that a thread is waited for at most
Event = tuple[str, str, tuple[str, ...]]  # what was asked, of which kind, for which keys


class Paper:
    """A target that keeps what it is given, and what it was asked in which order."""

    capabilities: ClassVar[Capabilities] = Capabilities(entities=(), writes=("invoice", "realization"))
    system = "paper"

    def __init__(self) -> None:
        self.held: dict[str, Mapping[str, Any]] = {}
        self.events: list[Event] = []
        self.before_create: Callable[[str], None] = lambda key: None
        self.before_find: Callable[[Sequence[str]], None] = lambda keys: None

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        self.events.append(("create", kind, (key,)))
        self.before_create(key)
        self.held[key] = body
        return Written(key, {})

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        raise NotImplementedError

    def post(self, kind: str, key: str) -> None:
        raise NotImplementedError

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        self.before_find(keys)
        self.events.append(("find", kind, tuple(keys)))
        return {key: self.held[key] for key in keys if key in self.held}

    def order(self, what: str, key: str) -> int:
        """The place of the first event of this sort that is about the key."""
        return next(n for n, (sort, _, keys) in enumerate(self.events) if sort == what and key in keys)


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setattr("pipelines.operations.carrier.CHUNK", 2)
    return Paper()


def approved(warehouse: Warehouse, kind: str, count: int, parents: Sequence[str] = ()) -> list[str]:
    """Keys of so many creations that may leave, in their order; each after its parent, where there are any."""
    keys = sorted(str(uuid5(HERE, f"{kind}/{number}")) for number in range(count))
    with warehouse.transaction() as conn:
        for number, key in enumerate(keys):
            conn.execute(
                "insert into ops.operation (operation_id, target, kind, action, key, body, depends_on)"
                " values (%s, 'paper', %s, 'create', %s, '{\"sum\": 5}', %s)",
                [key, kind, key, [UUID(one) for one in parents[number : number + 1]]],
            )
        conn.execute("select ops.move_many(%s::uuid[], 'approved', 'test')", [keys])
    return keys


def states(warehouse: Warehouse) -> dict[str, int]:
    return dict(warehouse.rows("select state, count(*) from ops.operation group by state"))


def test_the_next_chunk_is_on_its_way_while_this_one_is_read_back(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 6)
    began = threading.Event()
    met: list[bool] = []

    def see(key: str) -> None:
        if key in keys[2:4]:
            began.set()

    def wait(asked: Sequence[str]) -> None:
        if keys[0] in asked:
            met.append(began.wait(SECONDS))

    paper.before_create, paper.before_find = see, wait
    carried = carry(warehouse, paper, workers=2)
    assert met == [True], "the second chunk waited until the first one was read back"
    assert carried.verified == {"invoice create": 6}
    assert states(warehouse) == {"verified": 6}


def test_no_document_leaves_before_its_parent_was_read_back(warehouse: Warehouse, paper: Paper) -> None:
    invoices = approved(warehouse, "invoice", 5)
    realizations = approved(warehouse, "realization", 5, invoices)
    carry(warehouse, paper, workers=3)
    assert states(warehouse) == {"verified": 10}
    for parent, child in zip(invoices, realizations, strict=True):
        assert paper.order("find", parent) < paper.order("create", child)


@pytest.mark.parametrize("workers", [1, 2])
def test_after_a_refused_connection_the_rest_waits_for_what_is_settled(
    warehouse: Warehouse, paper: Paper, workers: int
) -> None:
    keys = approved(warehouse, "invoice", 4)
    left = [keys[0]]

    def fail_once(key: str) -> None:
        if key in left:
            left.remove(key)
            raise SourceError("paper: no connection", retriable=True)

    paper.before_create = fail_once
    carried = carry(warehouse, paper, workers=workers)
    assert carried.put_back == 1
    assert states(warehouse) == {"verified": 4}
    assert paper.order("find", keys[1]) < min(paper.order("create", keys[2]), paper.order("create", keys[3]))


def test_with_one_worker_nothing_is_sent_while_something_is_read_back(
    warehouse: Warehouse, paper: Paper
) -> None:
    approved(warehouse, "invoice", 6)
    carry(warehouse, paper, workers=1)
    assert [sort for sort, _, _ in paper.events] == ["create", "create", "find"] * 3


def test_what_may_leave_is_looked_for_once_and_not_for_each_chunk(
    warehouse: Warehouse, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved(warehouse, "invoice", 40)
    look, looks = Ready._look, []

    def counted(ready: Ready) -> list[UUID]:
        looks.append(1)
        return look(ready)

    monkeypatch.setattr(Ready, "_look", counted)
    carry(warehouse, paper, workers=2)
    assert states(warehouse) == {"verified": 40}
    assert len(looks) <= 3, "once for the forty, and at the end to see that nothing is left"


def test_what_somebody_took_back_meanwhile_does_not_leave(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 6)
    taken = keys[4]

    def take_back(key: str) -> None:
        if key == keys[0]:
            warehouse.execute("select ops.move_many(%s::uuid[], 'superseded', 'test')", [[taken]])

    paper.before_create = take_back
    carry(warehouse, paper, workers=1)
    assert taken not in paper.held
    assert states(warehouse) == {"superseded": 1, "verified": 5}


def test_what_is_to_be_sent_again_is_never_seen_as_merely_planned(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 2)
    left = [keys[0]]

    def fail_once(key: str) -> None:
        if key in left:
            left.remove(key)
            raise SourceError("paper: no connection", retriable=True)

    paper.before_create = fail_once
    carry(warehouse, paper, workers=1)
    again = warehouse.rows(
        "select to_state, xmin::text from ops.operation_event where operation_id = %s and actor = 'carry'"
        " and to_state in ('planned', 'approved') order by event_id",
        [keys[0]],
    )
    assert [state for state, _ in again] == ["planned", "approved"]
    assert len({transaction for _, transaction in again}) == 1, "a plan in between would take it back"


def test_a_plan_and_a_carrier_wait_for_each_other_in_one_order(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 2)
    errors: list[Exception] = []

    def move() -> None:
        try:
            with warehouse.transaction() as conn:
                conn.execute("select ops.move_many(%s::uuid[], 'held', 'test')", [keys])
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)

    with warehouse.transaction() as conn:
        lock_changes(conn)  # as a plan does first
        mover = threading.Thread(target=move)
        mover.start()
        while not warehouse.scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ):
            time.sleep(0.05)
        conn.execute("update ops.operation set amount = 5 where operation_id = any(%s::uuid[])", [keys])
    mover.join(SECONDS)
    assert errors == []
    assert states(warehouse) == {"held": 2}


def test_an_error_of_ours_leaves_what_was_sent_to_the_next_carry(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 6)
    left = threading.Barrier(3, timeout=SECONDS)  # both of the second chunk, and whoever stumbles meanwhile

    def leave(key: str) -> None:
        if key in keys[2:4] and not left.broken:
            left.wait()

    def stumble(kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        left.wait()
        raise KeyError("the disk is full")

    paper.before_create = leave
    with pytest.raises(KeyError):
        carry(warehouse, paper, workers=2, read_back=stumble)
    assert states(warehouse) == {"confirmed": 2, "sent": 2, "approved": 2}
    carried = carry(warehouse, paper, workers=2)
    assert carried.probed == 2
    assert states(warehouse) == {"verified": 6}
    assert [sort for sort, _, _ in paper.events].count("create") == len(keys)


class Wholesale(Paper):
    """A paper that is written in batches of two, and says which."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, ...]] = []
        self.before_batch: Callable[[Sequence[str]], None] = lambda keys: None
        self.after_batch: Callable[[Sequence[str]], None] = lambda keys: None

    def create_many(self, kind: str, rows: Rows) -> Sequence[Written | SourceError]:
        raise AssertionError("it says which records go together")

    def batches(self, kind: str, rows: Rows) -> Sequence[Sequence[int]]:
        return [range(start, min(start + 2, len(rows))) for start in range(0, len(rows), 2)]

    def create_batch(self, kind: str, rows: Rows) -> Sequence[Written | SourceError]:
        keys = tuple(key for key, _ in rows)
        self.before_batch(keys)
        self.sent.append(keys)
        try:
            return [self.create(kind, key, body) for key, body in rows]
        except SourceError as error:
            return [error for _ in rows]
        finally:
            self.after_batch(keys)


@pytest.fixture
def wholesale(monkeypatch: pytest.MonkeyPatch) -> Wholesale:
    monkeypatch.setattr("pipelines.operations.carrier.CHUNK", 4)
    return Wholesale()


def test_the_batches_of_the_next_chunk_follow_while_the_last_one_of_this_is_under_way(
    warehouse: Warehouse, wholesale: Wholesale
) -> None:
    keys = approved(warehouse, "invoice", 8)
    began = threading.Event()
    met: list[bool] = []

    def before(batch: Sequence[str]) -> None:
        if keys[4] in batch:
            began.set()

    def after(batch: Sequence[str]) -> None:
        if keys[3] in batch:
            met.append(began.wait(SECONDS))

    wholesale.before_batch, wholesale.after_batch = before, after
    carry(warehouse, wholesale, workers=2)
    assert met == [True], "the second chunk waited for the last answer to the first one"
    assert sorted(wholesale.sent) == [tuple(keys[n : n + 2]) for n in range(0, 8, 2)]
    assert states(warehouse) == {"verified": 8}


def test_no_batch_of_the_next_chunk_leaves_where_one_failed_before_the_last_of_this_left(
    warehouse: Warehouse, wholesale: Wholesale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.operations.carrier.CHUNK", 8)
    monkeypatch.setattr("pipelines.operations.carry.SPARE", 0)
    keys = approved(warehouse, "invoice", 12)
    others = threading.Barrier(2, timeout=SECONDS)
    left = [keys[0]]

    def fail_once(key: str) -> None:
        if key in left:
            left.remove(key)
            raise SourceError("paper: no connection", retriable=True)

    def before(batch: Sequence[str]) -> None:
        if keys[2] in batch or keys[4] in batch:  # the third leaves when the first has failed
            others.wait()

    wholesale.before_create, wholesale.before_batch = fail_once, before
    carried = carry(warehouse, wholesale, workers=2)
    assert carried.put_back == 2
    assert states(warehouse) == {"verified": 12}
    assert wholesale.order("find", keys[7]) < min(wholesale.order("create", key) for key in keys[8:])


def test_what_a_batch_answers_is_told_of_its_own_records(warehouse: Warehouse, wholesale: Wholesale) -> None:
    keys = approved(warehouse, "invoice", 4)

    def refuse(key: str) -> None:
        if key in keys[2:]:
            raise Refused("paper: this one is not wanted")

    wholesale.before_create = refuse
    carried = carry(warehouse, wholesale, workers=2)
    assert carried.rejected == 2
    told = warehouse.rows("select operation_id::text from ops.operation where state = 'rejected' order by 1")
    assert [key for (key,) in told] == keys[2:]


# ---- What ends a carry in the middle -------------------------------------------------------------


def attempts(warehouse: Warehouse, keys: Sequence[str]) -> set[int]:
    rows = warehouse.rows("select attempts from ops.operation where operation_id = any(%s::uuid[])", [keys])
    return {row[0] for row in rows}


def state_of(warehouse: Warehouse, keys: Sequence[str]) -> set[str]:
    rows = warehouse.rows("select state from ops.operation where operation_id = any(%s::uuid[])", [keys])
    return {row[0] for row in rows}


def stop_when_the_intent_is_committed(
    warehouse: Warehouse, paper: Paper, keys: Sequence[str], ahead: Sequence[str]
) -> None:
    """TERM comes while these are being sent, as soon as the intent of those ahead is committed."""
    stopped = threading.Event()

    def before(key: str) -> None:
        if key == keys[0]:
            wait_until(lambda: state_of(Warehouse(warehouse.url), ahead) == {"sent"})
            os.kill(os.getpid(), signal.SIGTERM)
            wait_until(lambda: state_of(Warehouse(warehouse.url), ahead) != {"sent"})
            stopped.set()
        elif key in keys:
            stopped.wait(SECONDS)

    paper.before_create = before


def wait_until(comes_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not comes_true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_a_stop_leaves_what_never_left_as_if_it_had_not_been_tried(
    warehouse: Warehouse, paper: Paper
) -> None:
    keys = approved(warehouse, "invoice", 6)
    stop_when_the_intent_is_committed(warehouse, paper, keys[:2], keys[2:4])
    with pytest.raises(Stopped), heeded():
        carry(warehouse, paper, workers=2)
    assert state_of(warehouse, keys[:2]) == {"sent"}, "what left is not known, whatever was answered since"
    assert state_of(warehouse, keys[2:]) == {"approved"}
    assert attempts(warehouse, keys[2:]) == {0}
    assert not paper.held.keys() & set(keys[2:])
    paper.before_create = lambda key: None
    carried = carry(warehouse, paper, workers=2)
    assert carried.probed == 2
    assert states(warehouse) == {"verified": 6}
    assert sorted(keys[0] for sort, _, keys in paper.events if sort == "create") == keys


def test_where_a_record_could_come_twice_a_stop_keeps_waiting_only_what_left(
    warehouse: Warehouse, paper: Paper
) -> None:
    vars(paper)["capabilities"] = replace(paper.capabilities, settles_after=600.0)
    keys = approved(warehouse, "invoice", 6)
    stop_when_the_intent_is_committed(warehouse, paper, keys[:2], keys[2:4])
    with pytest.raises(Stopped), heeded():
        carry(warehouse, paper, workers=2)
    for key in keys[:2]:
        del paper.held[key]  # still on its way when the next one asks
    paper.before_create = lambda key: None
    carry(warehouse, paper, workers=2)
    assert state_of(warehouse, keys[:2]) == {"uncertain"}
    assert state_of(warehouse, keys[2:]) == {"verified"}


def test_a_stop_puts_back_the_batches_of_this_chunk_that_stood_in_line(
    warehouse: Warehouse, wholesale: Wholesale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.operations.carrier.CHUNK", 6)
    monkeypatch.setattr("pipelines.operations.carry.SPARE", 0)
    keys = approved(warehouse, "invoice", 8)
    stop_when_the_intent_is_committed(warehouse, wholesale, [keys[0], keys[2]], keys[6:])
    with pytest.raises(Stopped), heeded():
        carry(warehouse, wholesale, workers=2)
    assert sorted(wholesale.sent) == [tuple(keys[:2]), tuple(keys[2:4])]
    assert state_of(warehouse, keys[:4]) == {"sent"}
    assert state_of(warehouse, keys[4:]) == {"approved"}
    wholesale.before_create = lambda key: None
    carry(warehouse, wholesale, workers=2)
    assert states(warehouse) == {"verified": 8}
    assert sorted(key for batch in wholesale.sent for key in batch) == keys


def test_an_error_while_the_intent_ahead_waits_puts_it_back(
    warehouse: Warehouse, wholesale: Wholesale
) -> None:
    keys = approved(warehouse, "invoice", 8)

    def fail(key: str) -> None:
        raise SourceError("paper: no connection", retriable=True)

    def stumble(kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        raise KeyError("the disk is full")

    wholesale.before_create = lambda key: fail(key) if key == keys[0] else None
    with pytest.raises(KeyError):
        carry(warehouse, wholesale, workers=2, read_back=stumble)
    assert state_of(warehouse, keys[2:4]) == {"confirmed"}
    assert state_of(warehouse, [*keys[:2], *keys[4:]]) == {"approved"}
    assert attempts(warehouse, keys[4:]) == {0}


def test_a_breaker_that_opens_lets_nothing_of_the_next_chunk_leave(
    warehouse: Warehouse, wholesale: Wholesale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "OPENS_AFTER", 2)
    keys = approved(warehouse, "invoice", 8)

    def fail(key: str) -> None:
        raise SourceError("paper: no connection", retriable=True)

    wholesale.before_create = fail
    carried = carry(warehouse, wholesale, workers=2)
    assert "2 failures in a row" in carried.stopped
    assert sorted(wholesale.sent) == [tuple(keys[:2]), tuple(keys[2:4])]
    assert states(warehouse) == {"approved": 8}
    assert attempts(warehouse, keys[4:]) == {0}, "what never left counts for no try"


def test_what_became_uncertain_is_counted_from_then_on_and_not_from_its_intent(warehouse: Warehouse) -> None:
    """Its intent may be committed long before it leaves; until it is known to be uncertain it may have left."""
    ages = {
        "fresh": {"sent": 10},
        "late": {"sent": 900, "uncertain": 60},
        "old": {"sent": 900, "uncertain": 300},
    }
    keys = {name: uuid5(HERE, name) for name in ages}
    with warehouse.transaction() as conn:
        for name, events in ages.items():
            conn.execute(
                "insert into ops.operation (operation_id, target, kind, action, key) values (%s, 'paper', 'invoice', 'create', %s)",
                [keys[name], name],
            )
            for state, age in events.items():
                conn.execute(
                    "insert into ops.operation_event (operation_id, to_state, at)"
                    " values (%s, %s, clock_timestamp() - make_interval(secs => %s))",
                    [keys[name], state, age],
                )
    with warehouse.connect() as conn:
        assert may_come_yet(conn, list(keys.values()), 240.0) == {keys["fresh"], keys["late"]}
        assert may_come_yet(conn, list(keys.values()), 0.0) == set()
