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
SURE: Final = (PERSON, MERGED, "inn_kpp")  # whatever the names say
NAMED: Final = ("name", "initials", "first_name", "patronymic_name", "holder")  # of features.CLIENTS
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Named:
    """What a cluster is called by: values of NAMED of its records."""

    names: frozenset[str] = frozenset()
    initials: frozenset[str] = frozenset()
    first_names: frozenset[str] = frozenset()
    patronymics: frozenset[str] = frozenset()
    holders: frozenset[str] = frozenset()

    @classmethod
    def of(cls, called: Sequence[str | None]) -> Named:
        return cls(*(frozenset((value,) if value else ()) for value in called))

    @property
    def full(self) -> frozenset[str]:
        """Its names, but for those that are the initials of another."""
        return self.names - self.initials

    def and_(self, other: Named) -> Named:
        return Named(
            self.names | other.names,
            self.initials | other.initials,
            self.first_names | other.first_names,
            self.patronymics | other.patronymics,
            self.holders | other.holders,
        )

    def is_another(self, other: Named) -> bool:
        """Whether first names, patronymics, or persons and companies have none in common."""
        return (
            _apart(self.first_names, other.first_names)
            or _apart(self.patronymics, other.patronymics)
            or _apart(self.holders, other.holders)
        )


def _apart(some: frozenset[str], others: frozenset[str]) -> bool:
    return bool(some and others and not some & others)


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
    named: Mapping[str, Sequence[str | None]] | None = None,
) -> pa.Table:
    """A row a record, in the order of `records`: record_id, label, rule, weight, joined_by.

    `label`: the smallest id of the cluster. `rule`, `weight`, `joined_by`: the strongest pair by which this record
    was joined, and the other record of it; 'alone' and nulls for a record of its own.
    `pairs`: left_id, right_id, weight, rule (null: by its score), and outcome, of which only 'same' is read; pairs
    of records that are not among `records` are passed over, so are those of the rest.
    `tax_numbers`: the valid numbers of a record; none where it has none. Two clusters that both have numbers and none
    in common join only by a must.
    `named`: NAMED of the records that pairs may join. What bars a pair bars clusters, too. But by a must, or a number with
    its KPP, none join that have names and none in common, where either record of the pair says none of its own, or
    only the initials of another that it is with already; nor, but by a number, that have first names, patronymics or
    kinds of holder and none in common.
    `must`: (left, right, 'person' or 'merged_in_crm'), joined first; `cannot`: pairs that never come into one
    cluster, whatever else says so, a must included: the must whose joining would break it is left undone.

    The answer is the same whatever the order of records, pairs, musts and cannots, and whichever record of a pair
    stands left.
    """
    import pyarrow as pa

    groups = _Groups(records, tax_numbers, cannot, named or {})
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
    """Disjoint groups of records, each with its tax numbers and names, and with the records that may not come to it."""

    def __init__(
        self,
        records: Sequence[str],
        tax_numbers: Mapping[str, Sequence[str]],
        cannot: Iterable[Pair],
        named: Mapping[str, Sequence[str | None]],
    ) -> None:
        self._all = frozenset(records)
        self._parents: dict[str, str] = {}
        self._given = tax_numbers
        self._numbers: dict[str, frozenset[str]] = {}
        self._called = named
        self._named: dict[str, Named] = {}
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
        called, other = self._named_of(left), self._named_of(right)
        if edge.rule not in SURE and (
            (edge.rule != "inn" and called.is_another(other))
            or self._leads_astray(edge, called.full, other.full)
        ):
            return False
        self._parents[right] = left
        self._numbers[left] = numbers | others
        self._named[left] = called.and_(other)
        self._members.setdefault(left, [left]).extend(self._members.pop(right, [right]))
        return True

    def _numbers_of(self, root: str) -> frozenset[str]:
        return self._numbers.get(root) or frozenset(self._given.get(root) or ())

    def _named_of(self, root: str) -> Named:
        return self._named.get(root) or Named.of(self._called.get(root, ()))

    def _leads_astray(self, edge: Edge, full: frozenset[str], others: frozenset[str]) -> bool:
        """Whether the groups have names and none in common, and the pair, which was judged, is not of two of them."""
        if not _apart(full, others):
            return False
        own = (next(iter(self._called.get(record, ())), None) for record in (edge.left, edge.right))
        return not all(name in full or name in others for name in own)

    def _forbidden(self, left: str, right: str) -> bool:
        if not self._barred:
            return False
        few, many = sorted((self._members.get(left, [left]), self._members.get(right, [right])), key=len)
        there = set(many)
        return any(there & self._barred[record] for record in few if record in self._barred)
