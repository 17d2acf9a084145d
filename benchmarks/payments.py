"""How well payments without a reference find what they pay: the nearest of the exact amount, Splink, and ours.

The set is Splink's own of payments sent and received: 22,913 each, strictly one to one, amounts equal in a quarter of the
pairs, received 1 to 21 days later, texts cut. All records are matched at once, so that every rival is there. Parameters
and threshold of ours come from one half of the payments, drawn by a seed; every figure is of the other half. "sure" is what
the model would allocate without a person; "all" is one document a payment for as many as have one. "with a third of the
documents gone": how often the sure ones are right where what a third of the payments pay is not there at all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.figures import Figure
from benchmarks.place import ROOT, Place, measured, say
from pipelines.identity.score import scored
from pipelines.payments.matching import (
    MODELS,
    Matching,
    candidates,
    load,
    matched,
    matching,
    nobody,
    one_to_one,
    weighed,
    with_probability,
)

SEED: Final = 20261123
DAYS: Final = 21  # that a payment of this set comes later at most
PRECISION: Final = 0.99
UNSEEN: Final = 0.5  # pairs that a level is given which has none
CONTENDERS: Final = ("exact", "splink", "ours")
FIGURES: Final = 6


def run(place: Place, *, quick: bool) -> list[Figure]:
    """Quick leaves Splink out, which trains from nothing."""
    if not _folder().is_dir():
        print(f"{_folder()} is not there; name the folder of public data in SVERKA_SHARED_DATA", flush=True)
        return []
    figures: list[Figure] = []
    for contender in CONTENDERS:
        if quick and contender == "splink":
            continue
        spent = place.worker("benchmarks.payments", contender)
        said = spent.said
        cost = f"{spent.wall:.0f} s, {spent.peak_mb:.0f} MB"
        for which, found in said["figures"].items():
            bound = PRECISION if contender == "ours" and which != "all" else None
            figures.append(
                Figure(f"{contender}, {which}: precision", found["precision"], "", at_least=bound, note=cost)
            )
            figures.append(
                Figure(
                    f"{contender}, {which}: recall",
                    found["recall"],
                    "",
                    note=f"{found['right']:,} of {found['of']:,}",
                )
            )
    return figures


def _folder() -> Path:
    return Path(os.environ.get("SVERKA_SHARED_DATA") or ROOT.parent / "shared" / "data") / "payments_to_match"


# ---- in the worker -------------------------------------------------------------------------


def features() -> tuple[pa.Table, dict[str, int]]:
    """As `matching.matched` reads them, what was sent as documents; and the true number of each record."""
    import duckdb

    with duckdb.connect() as connection:
        parts = []
        for side, name in (("d", "origin"), ("p", "destination")):
            parts.append(f"""
                select '{side}:' || unique_id as record_id, '{side}' as side, '' as block,
                       cast(amount as decimal(18, 2)) as amount, cast(transaction_date - date '2000-01-01' as integer) as day,
                       list_filter(string_split(lower(memo), ' '), lambda x: x <> '') as words, null::varchar as number,
                       null::varchar as tax_number, null::varchar[] as numbers, ground_truth as truth
                from '{_folder() / name}.parquet'""")
        table = connection.sql(
            f"select * from ({' union all '.join(parts)}) order by record_id"
        ).to_arrow_table()
    truth = dict(zip(table["record_id"].to_pylist(), table["truth"].to_pylist(), strict=True))
    return table.drop_columns(["truth"]), truth


def halves(truth: Mapping[str, int]) -> tuple[set[str], set[str]]:
    """Payments to train by, and payments to measure by."""
    payments = sorted(name for name in truth if name.startswith("p:"))
    order = np.random.default_rng(SEED).permutation(len(payments))
    chosen = {payments[place] for place in order[: len(payments) // 2]}
    return chosen, set(payments) - chosen


def of(
    found: pa.Table, truth: Mapping[str, int], measured_by: set[str], there: set[str] | None = None
) -> dict[str, float]:
    """Precision and recall of pairs, of the payments to measure by. `there`: documents that were there to be found."""
    rows = zip(found["left_id"].to_pylist(), found["right_id"].to_pylist(), strict=True)
    mine = [(left, right) for left, right in rows if right in measured_by]
    right = sum(truth[one] == truth[other] for one, other in mine)
    numbers = None if there is None else {truth[name] for name in there}
    count = sum(numbers is None or truth[name] in numbers for name in measured_by)
    return {"precision": right / max(len(mine), 1), "recall": right / count, "right": right, "of": count}


def narrowed(by: Matching) -> Matching:
    """Of this set it is known how late payments come."""
    return replace(by, days_before=0, days_after=DAYS)


def ours(table: pa.Table, truth: Mapping[str, int]) -> dict[str, Any]:
    by = narrowed(load())
    _, measured_by = halves(truth)
    found = matched(table, by)
    sure = found.filter(pa.array(np.asarray(found["probability"]) >= by.sure))
    documents = sorted(name for name in truth if name.startswith("d:"))
    kept = np.random.default_rng(SEED + 1).random(len(documents)) >= 1 / 3
    there = {name for name, stays in zip(documents, kept.tolist(), strict=True) if stays}
    here = pa.array([name in there for name in found["left_id"].to_pylist()])
    fewer = with_probability(found.drop_columns(["probability"]).filter(here), by.nothing)
    fewer = fewer.filter(pa.array(np.asarray(fewer["probability"]) >= by.sure))
    return {
        "sure": of(sure, truth, measured_by),
        "sure, with a third of the documents gone": of(fewer, truth, measured_by, there),
        "all": of(one_to_one(found), truth, measured_by),
    }


def exact(table: pa.Table, truth: Mapping[str, int]) -> dict[str, Any]:
    """The document of exactly the amount whose day is the nearest before; each is taken once, the nearest pairs first."""
    import duckdb

    with duckdb.connect() as connection:
        connection.register("records", table)
        pairs = connection.sql(f"""
            select l.record_id, r.record_id from records l join records r
              on l.side = 'd' and r.side = 'p' and l.amount = r.amount and r.day between l.day and l.day + {DAYS}
            order by r.day - l.day, l.record_id, r.record_id
        """).fetchall()
    return {"all": of(_first_come(pairs), truth, halves(truth)[1])}


def _first_come(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    lefts: set[str] = set()
    rights: set[str] = set()
    chosen = []
    for left, right in pairs:
        if left not in lefts and right not in rights:
            lefts.add(left)
            rights.add(right)
            chosen.append((left, right))
    return pa.table({"left_id": [left for left, _ in chosen], "right_id": [right for _, right in chosen]})


def main() -> None:
    contender = sys.argv[1]
    table, truth = features()
    with measured() as spent:
        if contender == "splink":
            from benchmarks.payments_splink import splink

            found = splink(_folder(), truth, of, halves(truth)[1])
        else:
            found = {"ours": ours, "exact": exact}[contender](table, truth)
    say({**spent, "figures": found})


# ---- training ------------------------------------------------------------------------------


def train() -> None:
    """Write m, u and the prior into models/payments.json; thresholds stand there by hand, beside what they gave."""
    path = MODELS / "payments.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    table, truth = features()
    trained_by, _ = halves(truth)
    known = weighed(table)
    plain = matching({**said, "comparisons": list(_plain(said))})
    pairs = candidates(known, narrowed(plain))
    mine = pa.array([name in trained_by for name in pairs["right_id"].to_pylist()])
    levels = scored(known, pairs.filter(mine), nobody(), plain.model, None)
    same = np.array([truth[one] == truth[other] for one, other in zip(
        levels["left_id"].to_pylist(), levels["right_id"].to_pylist(), strict=True)])  # fmt: skip
    for comparison in said["comparisons"]:
        labels = np.array(levels[comparison["name"]].to_pylist())
        free = [level for level in comparison["levels"] if not level.get("absent") and "fixed" not in level]
        if not free:
            continue
        m, u = (
            [float((labels[which] == level["label"]).sum()) + UNSEEN for level in free]
            for which in (same, ~same)
        )
        for level, one, other in zip(free, m, u, strict=True):
            level["m"], level["u"] = _figures(one / sum(m)), _figures(other / sum(u))
    said["prior"] = _figures(same.mean())
    said["made"] = (
        f"python -m benchmarks.payments train: half of the payments of Splink's transactions, seed {SEED}, "
        f"{len(same)} candidate pairs, {int(same.sum())} of them true"
    )
    path.write_text(written(said), encoding="utf-8")
    by = narrowed(matching(said))
    found = matched(table, by)
    probability = np.asarray(found["probability"])
    for threshold in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        told = of(found.filter(pa.array(probability >= threshold)), truth, trained_by)
        print(threshold, told)


def _plain(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Comparisons whose weights only tell levels apart."""
    for comparison in said["comparisons"]:
        levels = [
            {name: value for name, value in level.items() if name != "fixed"}
            for level in comparison["levels"]
        ]
        for place, level in enumerate(levels):
            level |= {} if level.get("absent") else {"m": 0.5 ** (place + 1), "u": 0.5}
        yield {**comparison, "levels": levels}


def written(said: Mapping[str, Any]) -> str:
    """A level a line."""
    lines = [
        "{",
        *(f" {json.dumps(name)}: {_json(value)}," for name, value in said.items() if name != "comparisons"),
    ]
    lines.append(' "comparisons": [')
    for place, comparison in enumerate(said["comparisons"], 1):
        lines.append(f'  {{"name": {json.dumps(comparison["name"])}, "levels": [')
        lines.append(",\n".join("   " + _json(level) for level in comparison["levels"]))
        lines.append("  ]}" + ("," if place < len(said["comparisons"]) else ""))
    return "\n".join([*lines, " ]", "}"]) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _figures(value: float) -> float:
    return float(f"{value:.{FIGURES}g}")


if __name__ == "__main__":
    train() if sys.argv[1] == "train" else main()
