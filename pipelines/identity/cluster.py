"""Records joined into clients, the strongest pair first, so that the answer does not hang on the order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

ALONE, SCORE, PERSON, MERGED = "alone", "score", "person", "merged_in_crm"
# Of joins for certain and of exact rules; what has no place here is joined by its weight, after these
ORDER: Final = {PERSON: 0, MERGED: 1, "inn_kpp": 2, "inn": 3, "phone_and_email": 4}
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Edge:
    """A pair that may join its records. `rule`: of `rules.RULES`, or score; a person's or the CRM's for a must."""

    left: str
    right: str
    weight: float | None
    rule: str

    @property
    def place(self) -> tuple[int, float, str, str]:
        return (ORDER.get(self.rule, len(ORDER)), -(self.weight or 0.0), self.left, self.right)


def cluster(
    records: Sequence[str],
    pairs: pa.Table,
    tax_numbers: Mapping[str, Sequence[str]],
    must: Iterable[tuple[str, str, str]] = (),
    cannot: Iterable[Pair] = (),
) -> pa.Table:
    """A row a record, in the order of `records`: record_id, label, rule, weight, joined_by.

    `label`: the smallest id of the cluster. `rule`, `weight`, `joined_by`: the strongest pair by which this record
    was joined, and the other record of it; 'alone' and nulls for a record of its own.
    `pairs`: left_id, right_id, weight, rule (null: by its score), and outcome, of which only 'same' is read; pairs
    of records that are not among `records` are passed over, so are those of the rest.
    `tax_numbers`: the valid numbers of a record; none where it has none. Two clusters that both have numbers and none
    in common join only by a must.
    `must`: (left, right, 'person' or 'merged_in_crm'), joined first; `cannot`: pairs that never come into one
    cluster, whatever else says so, a must included: the must whose joining would break it is left undone.

    The answer is the same whatever the order of records, pairs, musts and cannots, and whichever record of a pair
    stands left.
    """
    import pyarrow as pa

    groups = _Groups(records, tax_numbers, cannot)
    by: dict[str, tuple[Edge, str]] = {}
    for edge in sorted([*_musts(must), *_same(pairs)], key=lambda edge: edge.place):
        if groups.joined(edge):
            by.setdefault(edge.left, (edge, edge.right))
            by.setdefault(edge.right, (edge, edge.left))
    return pa.table(
        {
            "record_id": pa.array(records, pa.string()),
            "label": pa.array([groups.label(record) for record in records], pa.string()),
            "rule": pa.array(
                [by[record][0].rule if record in by else ALONE for record in records], pa.string()
            ),
            "weight": pa.array(
                [by[record][0].weight if record in by else None for record in records], pa.float64()
            ),
            "joined_by": pa.array(
                [by[record][1] if record in by else None for record in records], pa.string()
            ),
        }
    )


def _musts(must: Iterable[tuple[str, str, str]]) -> Iterator[Edge]:
    for left, right, rule in must:
        yield Edge(min(left, right), max(left, right), None, rule)


def _same(pairs: pa.Table) -> Iterator[Edge]:
    columns = [pairs[name].to_pylist() for name in ("left_id", "right_id", "weight", "rule", "outcome")]
    for left, right, weight, rule, outcome in zip(*columns, strict=True):
        if outcome == "same":
            yield Edge(min(left, right), max(left, right), weight, rule or SCORE)


class _Groups:
    """Disjoint groups of records, each with its tax numbers and with the records that may not come to it."""

    def __init__(
        self, records: Sequence[str], tax_numbers: Mapping[str, Sequence[str]], cannot: Iterable[Pair]
    ) -> None:
        self._all = frozenset(records)
        self._parents: dict[str, str] = {}
        self._given = tax_numbers
        self._numbers: dict[str, frozenset[str]] = {}
        self._members: dict[str, list[str]] = {}
        self._barred: dict[str, set[str]] = {}
        for left, right in cannot:
            self._barred.setdefault(left, set()).add(right)
            self._barred.setdefault(right, set()).add(left)

    def label(self, record: str) -> str:
        """The smallest id of the record's group."""
        parents = self._parents
        while (parent := parents.get(record, record)) != record:
            parents[record] = parents.get(parent, parent)
            record = parent
        return record

    def joined(self, edge: Edge) -> bool:
        """Join the groups of both records, if they are two and nothing forbids it; whether that was done."""
        if edge.left not in self._all or edge.right not in self._all:
            return False
        left, right = sorted((self.label(edge.left), self.label(edge.right)))
        if left == right or self._forbidden(left, right):
            return False
        numbers, others = self._numbers_of(left), self._numbers_of(right)
        if edge.rule not in (PERSON, MERGED) and numbers and others and not numbers & others:
            return False
        self._parents[right] = left
        self._numbers[left] = numbers | others
        self._members.setdefault(left, [left]).extend(self._members.pop(right, [right]))
        return True

    def _numbers_of(self, root: str) -> frozenset[str]:
        return self._numbers.get(root) or frozenset(self._given.get(root) or ())

    def _forbidden(self, left: str, right: str) -> bool:
        if not self._barred:
            return False
        few, many = sorted((self._members.get(left, [left]), self._members.get(right, [right])), key=len)
        there = set(many)
        return any(there & self._barred[record] for record in few if record in self._barred)
