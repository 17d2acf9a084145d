"""Carry approved operations into a target: send, read back, compare, and settle what is uncertain.

The intent is committed (`sent`) before a request leaves. Whatever a crash or a timeout leaves behind is
`uncertain` until a probe by our own key decides: there -> `confirmed`, not there -> `planned` again, but no sooner
than its request can no longer be carried out, where the target would take it twice.
An operation is `verified` when the record was read back and equals what was meant (for a posting: read
back posted). One carrier a target runs at a time, across processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pipelines.operations.carried import Carried, Owned, ReadBack
from pipelines.operations.carrier import MAX_CHUNKS, Carrier
from resources.connector import Target
from resources.parallel import take_turns_often
from resources.warehouse import LockHeld, Warehouse

SPARE: Final = 2  # workers beyond those asked for: they form requests while all connections wait for answers


def carry(
    warehouse: Warehouse,
    target: Target,
    *,
    run_id: str = "",
    workers: int = 4,
    read_back: ReadBack | None = None,
    progress: Callable[[Carried], None] | None = None,
    entities: Mapping[str, str] | None = None,
    owned: Owned | None = None,
    plan_first: bool = False,
    remedy: str = "",
) -> Carried:
    """Carry every approved operation of the target whose parents are verified; none while its breaker is open.

    `entities`: by kind the entity as which its records are read, where that has another name. `owned`: where fields of what
    is written are accounting's, no difference in them is a fault. `plan_first`: what an
    earlier run left, and the target turns out not to have, waits for the next plan: no plan could touch it meanwhile.
    `remedy`: a sentence about what to do where something else is read back than was sent.
    Raises LockHeld when another process carries into the same target.
    """
    carried = Carried()
    with _carrier(warehouse, target, run_id, workers, read_back, entities, owned, carried) as work:
        work.remedy = remedy
        work.breaker.keep(carried)
        if not carried.stopped:
            left = work.settle_interrupted()
            work.ready.passed_over = left if plan_first else frozenset()
        if not carried.stopped:
            work.read_again()
        for _ in range(MAX_CHUNKS):
            if (carried.stopped and work.under_way is None) or not work.carry_chunk():
                break
            if progress is not None:
                progress(carried)
        work.breaker.keep(carried)
    return carried


def settle(
    warehouse: Warehouse,
    target: Target,
    *,
    run_id: str = "",
    workers: int = 4,
    read_back: ReadBack | None = None,
    entities: Mapping[str, str] | None = None,
    owned: Owned | None = None,
) -> None:
    """Ask the target what became of what earlier runs left unsettled, and send nothing: a plan that follows decides
    about what never arrived. Nothing is asked where another process carries."""
    carried = Carried()
    with (
        contextlib.suppress(LockHeld),
        _carrier(warehouse, target, run_id, workers, read_back, entities, owned, carried) as work,
    ):
        work.breaker.keep(carried)
        if not carried.stopped:
            work.settle_interrupted()
            work.breaker.keep(carried)


def is_unsettled(warehouse: Warehouse, target: str) -> bool:
    """Whether anything that was sent into a target is not settled yet."""
    found = warehouse.scalar(
        "select exists (select from ops.operation where target = %s and state in ('sent', 'uncertain', 'confirmed'))",
        [target],
    )
    return bool(found)


@contextlib.contextmanager
def _carrier(
    warehouse: Warehouse,
    target: Target,
    run_id: str,
    workers: int,
    read_back: ReadBack | None,
    entities: Mapping[str, str] | None,
    owned: Owned | None,
    carried: Carried,
) -> Iterator[Carrier]:
    """The one carrier of a target. Raises LockHeld when another process carries into it."""
    take_turns_often()
    with (
        warehouse.connect() as conn,
        warehouse.lock(conn, f"carry:{target.system}"),
        ThreadPoolExecutor(workers + SPARE if workers > 1 else 1) as pool,
    ):
        work = Carrier(
            conn, target, run_id, pool, carried, read_back, entities or {}, overlaps=workers > 1, owned=owned
        )
        try:
            yield work
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what stands in line is not begun
            work.put_back()
            raise
