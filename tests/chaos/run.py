"""One company's history: a load that is killed again and again, settled and checked; then changes, and so again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from resources.warehouse import LockHeld
from tests.chaos.company import Company, Template
from tests.chaos.faults import change_deals, clear_faults, set_faults
from tests.chaos.loader import KILLED
from tests.chaos.points import PLACES, Point
from tests.chaos.targets import CLOSED
from tests.chaos.verdict import MAX_SHOWN, BrokenError, dated_until, events, plan, settled_faults

KILLS: Final = 60  # of one company
CHUNKS: Final = (1, 1, 2, 2, 3, 5)  # operations that are sent together
MAX_LOADERS: Final = 6  # a kill wanted: loaders that may end without having met their point
MAX_SETTLING: Final = 5  # syncs without a fault until nothing is left to do
TWO, FELL = "two loaders at once", "PostgreSQL fell"
ALWAYS: Final = (TWO, FELL)
SECOND_SECONDS: Final = 1.0  # that a second loader gets beside a first one that stands still


@dataclass
class Tally:
    """What was done, over all companies of a target."""

    kills: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(
        default_factory=Counter
    )  # what had left and was not settled when a loader died
    faults: Counter[str] = field(default_factory=Counter)
    loaders: int = 0
    companies: int = 0
    documents: int = 0
    seconds: float = 0.0
    last: str = ""  # the kill before the last check

    @property
    def killed(self) -> int:
        return sum(self.kills.values())


def run_company(
    template: Template,
    number: int,
    seed: str,
    wanted: int,
    tally: Tally,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Kill `wanted` loaders of one fresh company and check. Raises BrokenError, which says how to see it again."""
    chance = random.Random(f"{seed}:{template.target}:{number}")
    began = time.monotonic()
    with template.copy(number) as company:
        history = _History(company, chance, tally, say)
        try:
            history.live(wanted)
        except BrokenError as broken:
            raise BrokenError(
                f"SEED={seed}:{number} TARGET={template.target} RUNS={wanted}, last kill: {tally.last}\n{broken}"
            ) from None
        finally:
            tally.seconds += time.monotonic() - began
    tally.companies += 1


class _History:
    def __init__(
        self, company: Company, chance: random.Random, tally: Tally, say: Callable[[str], None]
    ) -> None:
        self.company, self.chance, self.tally, self.say = company, chance, tally, say
        self.lost: set[str] = set()

    def live(self, wanted: int) -> None:
        first = self.storm(wanted - wanted * 2 // 5, falls=True)
        self.settle_and_check()
        due = plan(self.company)
        days = sorted(row["day"] for row in due.values())
        if not days:
            raise BrokenError("the company has no document that is due: nothing was tried")
        closed = days[len(days) // 3]
        self.company.control(CLOSED[self.company.template.target], {"until": closed})
        before = dated_until(self.company, closed)
        self.lost |= change_deals(self.company, due.values(), self.chance)
        self.company.read_crm()
        self.storm(wanted - first, falls=False)
        self.settle(closed)
        self.unchanged(before, dated_until(self.company, closed), closed)
        self.company.control(CLOSED[self.company.template.target], {"until": None})
        self.settle_and_check(night=True)  # where the locks could not be read, accounting itself refused

    def storm(self, wanted: int, *, falls: bool) -> int:
        """Kill up to `wanted` loaders; how many. Ends early when everything is carried."""
        killed = idle = 0
        falls_at = self.chance.randrange(wanted) if falls and wanted else -1
        for step in range(wanted * MAX_LOADERS):
            if killed >= wanted or idle >= MAX_LOADERS:
                break
            left = self._left()
            place = self._place(step, left)
            if place is None:
                break
            plans = step < 2 or not left or self.chance.random() < 0.3
            set_faults(self.company, self.chance, self.tally.faults)
            point = Point(place, self.chance.choice([1, 1, 1, 2, 3]))
            if killed == falls_at:
                done = self._fall(point, plans)
                falls_at = -1 if done else killed
            elif self.chance.random() < 0.1:
                done = self._two(point, plans)
            else:
                done = self._kill(point, plans)
            killed += done
            idle = 0 if done else idle + 1
        clear_faults(self.company, self.tally.faults)
        return killed

    def _left(self, *, waiting: bool = True) -> set[str]:
        """Actions of operations that are under way or could leave; `waiting`: also of those whose document's last step
        accounting refused."""
        rows = self.company.rows(
            """select distinct o.action from ops.operation o
                where o.state in ('sent', 'uncertain', 'confirmed')
                   or o.state in ('planned', 'approved') and (%s or not exists (
                       select from ops.operation r where r.target = o.target and r.kind = o.kind and r.key = o.key
                          and r.state = 'rejected'))""",
            [waiting],
        )
        return {action for (action,) in rows}

    def _place(self, step: int, left: Collection[str]) -> str | None:
        if step < 2:
            return PLACES[step]
        if not left:
            return None
        places = [p for p in PLACES[2:] if not p.startswith(("posting", "unposting"))]
        for action in ("post", "unpost"):
            if action in left:
                places += [p for p in PLACES if p.startswith(f"{action}ing")] * 2
        return self.chance.choice(places)

    def _kill(self, point: Point, plans: bool) -> bool:
        loader = self.company.load(point, self.chance.choice(CHUNKS), plan=plans)
        self.tally.loaders += 1
        place = loader.met()
        ended = loader.end()
        if ended.status == KILLED:
            self._count(place, str(point))
            return True
        self._accept(ended)
        return False

    def _two(self, point: Point, plans: bool) -> bool:
        """A second loader while the first one stands at its point; then the first is killed."""
        first = self.company.load(point, self.chance.choice(CHUNKS), plan=plans, meets=True)
        self.tally.loaders += 1
        if not (place := first.met()):
            self._accept(first.end())
            return False
        # If the first one ends before the second gives up, the second carries, and is killed in its turn.
        after = Point("after the answer is kept", 1)
        second = self.company.load(after, self.chance.choice(CHUNKS), plan=False)
        self.tally.loaders += 1
        waited = second.ends_within(SECOND_SECONDS)
        first.kill()
        too = second.met()
        ended = second.end()
        first.end()
        if ended.status != KILLED:
            self._accept(ended)
        if waited and "plan" not in place and ended.result is not LockHeld:
            raise BrokenError(f"a second loader carried while the first one was at {point}")
        if ended.status == KILLED:
            self._count(too, f"{after}, the second loader of two")
        self._count(place, f"{point}, beside a second loader")
        self.tally.faults[TWO] += 1
        return True

    def _fall(self, point: Point, plans: bool) -> bool:
        """PostgreSQL falls while the loader is at its point, and the loader goes on without it."""
        loader = self.company.load(point, self.chance.choice(CHUNKS), plan=plans, meets=True)
        self.tally.loaders += 1
        if not (place := loader.met()):
            self._accept(loader.end())
            return False
        self.company.template.server.fall()
        loader.let_on()
        ended = loader.end()
        self.company.template.server.rise()
        if not ended.status:
            raise BrokenError(f"a loader at {point} did not notice that PostgreSQL had fallen")
        self._count(place, f"{point}, PostgreSQL fallen")
        self.tally.faults[FELL] += 1
        return True

    def _count(self, place: str, told: str) -> None:
        self.tally.kills[place] += 1
        for kind, action in self.company.rows(
            "select distinct kind, action from ops.operation where state in ('sent', 'uncertain', 'confirmed')"
        ):
            self.tally.writes[f"{kind} {action}"] += 1
        self.tally.last = told
        self.say(f"{self.tally.killed} kills, {self.tally.companies} companies: {told}")

    def _accept(self, ended: Any) -> None:
        """A loader that was not killed ends well, or says that another carries."""
        if ended.status:
            raise BrokenError(f"a loader ended with {ended.result or ended.status}: {ended.error}")

    def settle(self, closed: str = "", *, night: bool = False) -> None:
        """Syncs without faults until nothing is left to do."""
        done = None
        # In 1C a right that was missing for a while refuses what was sent meanwhile: a night lets it go again.
        night = night or self.company.template.target == "onec"
        for number in range(MAX_SETTLING):
            # What a closed period refuses is refused every night, until it is opened.
            done = self.company.settle(night=night and not (closed and number))
            if done.errors or done.laws:
                raise BrokenError("; ".join([*done.errors, *done.laws]))
            left = self._left(waiting=not closed)
            if done.planned.quiet and not done.carried.written and not left:
                return
        raise BrokenError(
            f"after {MAX_SETTLING} syncs without a fault something is still being done (closed until {closed or '-'}): {done}"
        )

    def settle_and_check(self, *, night: bool = False) -> None:
        self.settle(night=night)
        told, documents = settled_faults(self.company, self.lost)
        self.tally.documents += documents
        if told:
            raise BrokenError(
                "\n".join([*told[:MAX_SHOWN], f"({len(told)} in all)", *events(self.company, told)])
            )

    def unchanged(self, before: Any, after: Any, closed: str) -> None:
        told = [
            f"{kind} ({key}) is dated in the period closed up to {closed} and was {'changed' if (kind, key) in after else 'taken away'}"
            for (kind, key), record in before.items()
            if after.get((kind, key)) != record
        ]
        told += [
            f"{kind} ({key}) was written into the closed period" for kind, key in after.keys() - before.keys()
        ]
        if told:
            raise BrokenError("\n".join([*told[:MAX_SHOWN], *events(self.company, told)]))
