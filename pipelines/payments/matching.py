"""Which payment pays which document, by a score: candidates, the frozen model, and one document a payment.

A pair's weight is Splink's, by a frozen model of `models/` (as clients are compared, pipelines/identity): what the two
say alone. Its probability also knows the others: a payment pays one document at most, and a document that another payment
fits better is less likely this one's. `settle` works that out until nothing moves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.identity.candidates import connected
from pipelines.identity.model import Model, parsed
from pipelines.identity.score import scored

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MODELS: Final = Path(__file__).parent / "models"
ROUNDS: Final = 50  # of settling; ten are enough for a million pairs
STILL: Final = 1e-6  # a probability that moves less than this has settled
LOWEST: Final = -14.0  # log2 of odds below which a pair is forgotten
STEP: Final = 0.05  # of the logarithm of amounts that are looked up together
TELLING: Final = 6.0  # bits that words must share where amounts are not equal
RARE: Final = 20_000  # records that a word is thought to be rare among, where there are fewer

# Bits of the document's words that stand in the payment's, cut ones too; of two spellings what the more common is worth.
SHARED: Final = (
    "list_sum(list_transform(words_l, lambda x: coalesce(list_max(list_transform(words_r, lambda y: "
    "case when starts_with(y.word, x.word) or starts_with(x.word, y.word) then least(x.bits, y.bits) else 0.0 end)), 0.0)))"
)
MISSING: Final = f"(list_sum(list_transform(words_l, lambda x: x.bits)) - {SHARED})"


@dataclass(frozen=True, slots=True)
class Matching:
    """A frozen model with what is asked of a pair: `sure`, the probability from which it may be allocated without a person;
    `proposed`, that from which a person is shown it; `nothing`, the odds that a payment, or a document, goes with none
    that is here; `near`, by which share amounts may differ, and how many days a payment may come before and after."""

    model: Model
    sure: float
    proposed: float
    nothing: float
    near: float
    days_before: int
    days_after: int

    @property
    def fingerprint(self) -> str:
        return self.model.fingerprint


@lru_cache(maxsize=4)
def load(name: str = "payments") -> Matching:
    """The matching of `models/NAME.json`."""
    return matching(json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8")))


def matching(said: Mapping[str, Any]) -> Matching:
    """What a model's file says. `{shared}` and `{missing}` in a condition stand for SHARED and MISSING."""
    comparisons = [
        {**one, "levels": [{**level, "sql": _written_out(level["sql"])} for level in one["levels"]]}
        for one in said["comparisons"]
    ]
    unused = {"join": 0.0, "join_by_name": 0.0, "ask": 0.0, "names_of_number": 1, "keys": []}
    model = parsed({**unused, **said, "comparisons": comparisons})
    own = ("sure", "proposed", "nothing", "near", "days_before", "days_after")
    return Matching(model, *(said[name] for name in own))


def _written_out(condition: str) -> str:
    return condition.replace("{shared}", SHARED).replace("{missing}", MISSING)


def weighed(features: pa.Table) -> pa.Table:
    """The features with `words` as pairs of word and bits: the rarer among these records, the more it tells."""
    with connected() as connection:
        connection.register("features", features)
        return connection.sql(f"""
            with words as (select record_id, unnest(list_distinct(words)) as word from features),
            counted as (select word, log2(greatest({RARE}, (select count(*) from features)) / count(*)) as bits
                        from words group by word),
            listed as (select record_id, list({{'word': word, 'bits': bits}} order by word) as words
                       from words join counted using (word) group by record_id)
            select f.* exclude (words), w.words from features f left join listed w using (record_id)
        """).to_arrow_table()


def candidates(features: pa.Table, by: Matching) -> pa.Table:
    """Pairs that may be: left_id a document, right_id a payment. `features`: as `weighed` gives them.

    Of one block, within the days, and of equal amounts, or of near ones and some words, or the payment names the
    number of the document or the tax number of whoever owes it.
    """
    within = f"r.day between l.day - {by.days_before} and l.day + {by.days_after}"
    shared = SHARED.replace("words_l", "l.words").replace("words_r", "r.words")
    with connected() as connection:
        connection.register("features", features)
        return connection.sql(f"""
            with l as (
                select *, cast(floor(ln(amount) / {STEP}) as bigint) as step from features where side = 'd' and amount > 0
            ), r as (
                select *, unnest(generate_series(cast(floor(ln(amount * {1 - by.near}) / {STEP}) as bigint),
                                                 cast(floor(ln(amount * {1 + by.near}) / {STEP}) as bigint))) as step
                from features where side = 'p' and amount > 0
            ), numbers as (
                select record_id, block, day, unnest(numbers) as number from features where side = 'p'
            )
            select l.record_id as left_id, r.record_id as right_id
            from l join r on r.block = l.block and r.step = l.step and {within}
              and r.amount between l.amount * {1 - by.near} and l.amount * {1 + by.near}
              and (l.amount = r.amount or {shared} >= {TELLING})
            union
            select l.record_id, r.record_id
            from l join numbers r on (r.number = l.tax_number or r.number = l.number) and r.block = l.block and {within}
        """).to_arrow_table()


def matched(features: pa.Table, by: Matching) -> pa.Table:
    """left_id, right_id, weight, the label of each comparison's level, and probability, of all candidates above LOWEST.

    `features`: record_id, side (d a document, p a payment), block (only equal ones meet), amount (decimal), day (integer),
    words (list of texts), number (of a document, without leading zeros), tax_number (of whoever owes it), numbers (list of
    those that the payment's purpose names). Nulls where not known.
    """
    known = weighed(features)
    found = scored(known, candidates(known, by), nobody(), by.model, LOWEST)
    return with_probability(found, by.nothing)


def nobody() -> pa.Table:
    """How many records hold a value, as `score.scored` asks: of payments no comparison does."""
    import pyarrow as pa

    fields = {"kind": pa.string(), "value": pa.string(), "records": pa.int64(), "names": pa.int64()}
    return pa.table({name: pa.array([], of) for name, of in fields.items()})


def with_probability(found: pa.Table, nothing: float) -> pa.Table:
    """What `score.scored` gave with the probability that each pair is one, all others considered."""
    import numpy as np
    import pyarrow as pa

    weight = np.asarray(found["weight"].to_pylist(), dtype=np.float64)
    left, right = _places(found["left_id"]), _places(found["right_id"])
    probability = settle(left, right, np.exp2(np.minimum(weight, 60.0)), nothing)
    return found.append_column("probability", pa.array(probability))


def _places(column: Any) -> npt.NDArray[np.int64]:
    import numpy as np

    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def settle(
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    odds: npt.NDArray[np.float64],
    nothing: float,
) -> npt.NDArray[np.float64]:
    """The probability of each pair where a document and a payment each go with one of the other side at most.

    Odds are of the pair alone; `nothing` those that either goes with none that is here. Rows and columns are scaled in turn until
    each adds up to 1 with what goes with none (Sinkhorn's way): what is fitted better elsewhere counts for less here.
    """
    import numpy as np

    if not len(odds):
        return odds
    lefts, rights = int(left.max()) + 1, int(right.max()) + 1
    a = np.ones(lefts)
    b = np.ones(rights)
    before = np.zeros(len(odds))
    for _ in range(ROUNDS):
        a = 1 / (nothing + np.bincount(left, odds * b[right], lefts))
        b = 1 / (nothing + np.bincount(right, odds * a[left], rights))
        now = odds * a[left] * b[right]
        moved, before = np.abs(now - before).max(), now
        if moved < STILL:
            break
    return np.minimum(before, 1.0)


def one_to_one(found: pa.Table) -> pa.Table:
    """The rows of `matched` in which everybody goes with one at most, so that the sum of log probabilities is the greatest."""
    import numpy as np
    import pyarrow as pa
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not found.num_rows:
        return found
    left, right = _places(found["left_id"]), _places(found["right_id"])
    probability = np.maximum(np.asarray(found["probability"].to_pylist(), dtype=np.float64), 1e-12)
    rights, lefts = int(right.max()) + 1, int(left.max()) + 1
    # Each payment may also go with a document of its own that is none: dearer than anything that is one.
    rows = np.concatenate([right, np.arange(rights)])
    columns = np.concatenate([left, lefts + np.arange(rights)])
    costs = np.concatenate([1 - np.log(probability), np.full(rights, 40.0)])
    graph = coo_matrix((costs, (rows, columns)), shape=(rights, lefts + rights)).tocsr()
    chosen_rows, chosen_columns = min_weight_full_bipartite_matching(graph)
    chosen = set(zip(chosen_rows.tolist(), chosen_columns.tolist(), strict=True))
    return found.filter(
        pa.array([pair in chosen for pair in zip(right.tolist(), left.tolist(), strict=True)])
    )
