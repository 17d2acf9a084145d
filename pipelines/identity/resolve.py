"""Labels of clients for all records at once, in memory, from nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipelines.identity.candidates import all_pairs, fan_out
from pipelines.identity.cluster import NAMED, Pair, cluster
from pipelines.identity.features import derive
from pipelines.identity.model import load
from pipelines.identity.rules import judge
from pipelines.identity.score import score

if TYPE_CHECKING:
    import pyarrow as pa

UNASKED: Final = (float("inf"), "", "")


@dataclass(frozen=True, slots=True)
class Resolved:
    """`members`: as `cluster.cluster` gives, in the profile's order; `pairs`: as `rules.judge` gives, same and ask.

    `tax_numbers`: the valid ones of the records that have any; `named`: of those in pairs that
    are the same, what they are called by.
    """

    members: pa.Table
    pairs: pa.Table
    tax_numbers: Mapping[str, Sequence[str]]
    named: Mapping[str, Sequence[str | None]]

    @property
    def labels(self) -> list[str]:
        found: list[str] = self.members["label"].to_pylist()
        return found

    def again(self, must: Iterable[tuple[str, str, str]] = (), cannot: Iterable[Pair] = ()) -> Resolved:
        """The same pairs clustered with what people have said of them."""
        records = self.members["record_id"].to_pylist()
        made = cluster(records, self.pairs, self.tax_numbers, must, cannot, self.named)
        return replace(self, members=made)

    def questions(self) -> list[tuple[str, str, float]]:
        """The strongest open pair of any two clusters that may be one client: left_id, right_id, weight; strongest first.

        Of two clusters whose tax numbers have none in common nobody is asked.
        """
        label = dict(zip(self.members["record_id"].to_pylist(), self.labels, strict=True))
        held: dict[str, set[str]] = {}
        for record, given in self.tax_numbers.items():
            held.setdefault(label[record], set()).update(given)
        best: dict[Pair, tuple[float, str, str]] = {}
        columns = [self.pairs[name].to_pylist() for name in ("left_id", "right_id", "weight", "outcome")]
        for left, right, weight, outcome in zip(*columns, strict=True):
            ours, theirs = sorted((label[left], label[right]))
            one, other = held.get(ours), held.get(theirs)
            if outcome == "different" or ours == theirs or (one and other and not one & other):
                continue
            best[ours, theirs] = min(best.get((ours, theirs), UNASKED), (-weight, left, right))
        return [(left, right, -weight) for weight, left, right in sorted(best.values())]


def resolve(profile: pa.Table, model: str = "clients") -> Resolved:
    """Which records of the profile are one client. `profile`: as `features.derive` reads it."""
    features = derive(profile, model)
    counted = fan_out(features, model)
    found = score(features, all_pairs(features, model=model), counted, model, lowest=load(model).ask)
    judged = judge(found, model)
    numbers = tax_numbers(features)
    called = named(features, judged)
    members = cluster(features["record_id"].to_pylist(), judged, numbers, named=called)
    return Resolved(members, judged, numbers, called)


def tax_numbers(features: pa.Table) -> dict[str, list[str]]:
    """The valid tax numbers of the records that have any."""
    import pyarrow.compute as pc

    if "tax_numbers" not in features.column_names:
        return {}
    some = features.select(["record_id", "tax_numbers"]).filter(pc.is_valid(features["tax_numbers"]))
    return dict(zip(some["record_id"].to_pylist(), some["tax_numbers"].to_pylist(), strict=True))


def named(features: pa.Table, pairs: pa.Table) -> dict[str, Sequence[str | None]]:
    """What the records of `pairs` that are the same are called by, as `cluster.cluster` reads it; empty of people."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not set(NAMED) <= set(features.column_names):
        return {}
    same = pairs.filter(pc.equal(pairs["outcome"], "same"))
    records = pc.unique(pa.chunked_array([*same["left_id"].chunks, *same["right_id"].chunks], pa.string()))
    some = features.select(["record_id", *NAMED]).filter(pc.is_in(features["record_id"], records))
    columns = (some[name].to_pylist() for name in some.column_names)
    return {record: called for record, *called in zip(*columns, strict=True)}
