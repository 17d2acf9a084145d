"""What somebody entered in accounting by hand between the plan and the carrier: it is not created beside that.

The catalogues are read before a sync plans, and its operations may wait for a person after that. So right before new
counterparties leave, accounting is asked for records with their tax numbers and branches. Whose record is there is held;
the next sync reads it, and its documents name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pipelines.operations.breaker import Unsent
from pipelines.operations.carried import Operation
from resources.connector import Entered, Refused, SearchesBeforeCreate, SourceError, Target

KINDS: Final = ("counterparty",)


class Held(Unsent):
    """Not sent: accounting has it by now under a key of its own."""


def entered_by_hand(target: Target, chunk: Sequence[Operation]) -> dict[str, SourceError]:
    """By key why creates of one kind do not leave; none where the target cannot be asked. Raises SourceError."""
    if not chunk or chunk[0].action != "create" or chunk[0].kind not in KINDS:
        return {}
    if not isinstance(target, SearchesBeforeCreate):
        return {}
    kind = chunk[0].kind
    try:
        found: Mapping[str, Entered] = target.entered(kind, [(o.key, o.body) for o in chunk])
    except Refused as error:
        return {o.key: error for o in chunk}
    return {key: Held(_sentence(kind, one)) for key, one in found.items()}


def _sentence(kind: str, one: Entered) -> str:
    branch = f" {one.branch}" if one.branch else ""
    name = one.name.replace("'", "")
    return (
        f"accounting has this {kind} by now, entered by hand: '{name}', tax number {one.tax_number}{branch}; the next sync"
        " takes that one"
    )
