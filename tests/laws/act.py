"""What people do, on either side: each act is its name and three small numbers that say to what and how.

An act that finds nothing to do does nothing, so that any sequence of acts is a history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from tests.laws.town import Town

T = TypeVar("T")
STAGES = ("NEW", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "LOSE", "ODD", "C1:NEW", "C1:WON")
PRICES = ("0.01", "33.33", "999.99", "1200.5", "12345.67")
NAMES = ("Стол", "Коврик", "Лампа", "Коврик старый", "Неведомое")
DAYS = ("2026-01-15", "2026-03-05", "2026-03-20", "2026-04-11")


class Act(NamedTuple):
    verb: str
    a: int = 0
    b: int = 0
    c: int = 0


Doing = Callable[[Town, int, int, int], Any]
CRM: dict[str, Doing] = {}
BRANCH: dict[str, Doing] = {}
ACCOUNTING: dict[str, Doing] = {}
RULES: dict[str, Doing] = {}


def history(*kinds: dict[str, Doing], least: int = 1, most: int = 8) -> st.SearchStrategy[list[Act]]:
    verbs = sorted(verb for kind in kinds for verb in kind)
    numbers = st.integers(0, 9)
    return st.lists(
        st.builds(Act, st.sampled_from(verbs), numbers, numbers, numbers), min_size=least, max_size=most
    )


def do(town: Town, act: Act) -> None:
    doing = next(kind[act.verb] for kind in (CRM, BRANCH, ACCOUNTING, RULES) if act.verb in kind)
    doing(town, act.a, act.b, act.c)


def pick(items: Sequence[T], number: int) -> T | None:
    return items[number % len(items)] if items else None


def act(kind: dict[str, Doing]) -> Callable[[Doing], Doing]:
    def keep(doing: Doing) -> Doing:
        kind[doing.__name__] = doing
        return doing

    return keep
