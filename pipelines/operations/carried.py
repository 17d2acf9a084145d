"""What is carried and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec


@dataclass
class Carried:
    """Counts of operations by how they ended. `stopped` says why the target was left alone, if it was."""

    verified: dict[str, int] = field(default_factory=dict)  # "invoice create" -> count
    rejected: int = 0
    held: int = 0
    uncertain: int = 0
    put_back: int = 0
    probed: int = 0
    mended: int = 0  # were held because they read back otherwise, and read back equal now
    stopped: str = ""

    @property
    def written(self) -> int:
        return sum(self.verified.values())

    def after(self, earlier: Carried) -> Carried:
        """Both carries as one."""
        names = {**earlier.verified, **self.verified}
        return Carried(
            {name: earlier.verified.get(name, 0) + self.verified.get(name, 0) for name in names},
            earlier.rejected + self.rejected,
            earlier.held + self.held,
            self.uncertain,
            earlier.put_back + self.put_back,
            earlier.probed + self.probed,
            earlier.mended + self.mended,
            self.stopped or earlier.stopped,
        )


@dataclass(frozen=True, slots=True)
class Operation:
    operation_id: UUID
    kind: str
    action: str
    key: str
    subject: str
    body: Mapping[str, Any]
    attempts: int
    version: str | None


class ReadBack(Protocol):
    """Told every record that was read back, so that it need not be read again."""

    def __call__(self, kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None: ...


class Owned(Protocol):
    """Which fields of a body are accounting's, of a kind, and of what is posted or is not."""

    def __call__(self, kind: str, is_posted: bool) -> Collection[str]: ...


class _HasKind(Protocol):
    @property
    def kind(self) -> str: ...


OfKind = TypeVar("OfKind", bound=_HasKind)


def by_kind(operations: Sequence[OfKind]) -> dict[str, list[OfKind]]:
    """Operations by kind, in their order."""
    groups: dict[str, list[OfKind]] = {}
    for operation in operations:
        groups.setdefault(operation.kind, []).append(operation)
    return groups


def chunks(operations: Sequence[Operation], size: int) -> Iterator[Sequence[Operation]]:
    """Operations in parts of so many."""
    for start in range(0, len(operations), size):
        yield operations[start : start + size]


def decoded(body: str | None) -> Mapping[str, Any]:
    """A body with its numbers as decimals: money never passes through a float."""
    return _BODY.decode(body) if body else {}


_BODY = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
