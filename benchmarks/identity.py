"""How well and how fast records of one client are found: exact matching, Splink as documented, and ours.

Every contender works on every corpus of its shape in a process of its own, from a table of records to a label a
record; its seconds are those, without the interpreter's start and without reading the corpus, its peak memory is that
of the whole process. Splink trains from nothing each time, as its examples do; ours has frozen parameters. Rows say
what the threshold of the documentation, or of our model, gives; the last column is the best F1 that any threshold
gives, which nobody knows who has no truth. "ours, asked": where our model asks, the truth has answered; how often it
asked stands in the column before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.identity_baselines import Answer, Pairs, exact, same_inn, splink
from benchmarks.identity_clusters import best_threshold
from benchmarks.identity_corpora import CORPORA, Corpus, absent, corpora
from benchmarks.identity_measures import measure
from benchmarks.identity_models import SPLINK
from benchmarks.identity_profiles import profile
from benchmarks.place import Place, Spent, measured, say

PRINTS_TABLES: Final = True
OURS: Final = "ours"
ASKED: Final = "ours, asked"

PRECISION: Final = 0.999  # of ours on Russian clients
RECALL: Final = 0.88  # with nobody asked
RECALL_ASKED: Final = 0.97


def run(place: Place, *, quick: bool, only: Sequence[str] = ()) -> list[Figure]:
    """`only`: names of corpora. Quick leaves out the larger ones."""
    for sentence in absent():
        print(sentence, flush=True)
    wanted = [name for name in CORPORA if not only or name in only]
    here = [corpus for corpus in corpora(wanted) if not quick or corpus.table.num_rows <= 1_000]
    table = Table(title="9. Records of one client found", title_justify="left")
    for column in ("corpus", "contender"):
        table.add_column(column)
    for column in (
        "records",
        "precision",
        "recall",
        "F1",
        "B-cubed F1",
        "exact",
        "INNs joined",
        "s",
        "MB",
        "asked",
        "best F1",
    ):
        table.add_column(column, justify="right")
    figures: list[Figure] = []
    for corpus in here:
        rivals = 0.0
        for contender in contenders(corpus):
            spent = place.worker("benchmarks.identity", contender, corpus.name)
            table.add_row(*_row(corpus, contender, spent))
            figures.append(Figure(f"{corpus.name}: {contender}, F1", spent.said["f1"], "", note=_note(spent)))
            if contender.startswith("splink"):
                rivals = max(rivals, spent.said["f1"])
            if contender in (OURS, ASKED):
                figures.extend(_bounds(corpus, contender, spent, rivals))
        table.add_section()
    Console(highlight=False, width=170).print(table)
    return figures


def contenders(corpus: Corpus) -> Iterator[str]:
    yield "exact"
    if corpus.shape == "clients":
        yield "exact, INN alone"
    yield from (model.name for model in SPLINK if model.shape == corpus.shape)
    yield OURS
    if corpus.shape == "clients":
        yield ASKED


def _bounds(corpus: Corpus, contender: str, spent: Spent, rivals: float) -> Iterator[Figure]:
    said, name = spent.said, f"{corpus.name}: {contender}"
    yield Figure(f"{name}, F1 beside Splink's", said["f1"], "", at_least=rivals)
    if corpus.shape == "clients":
        yield Figure(f"{name}, precision", said["precision"], "", at_least=PRECISION)
        least = RECALL if contender == OURS else RECALL_ASKED
        yield Figure(f"{name}, recall", said["recall"], "", at_least=least)
        yield Figure(f"{name}, pairs of different INNs joined", said["inn_conflicts"], "", at_most=0)


def _row(corpus: Corpus, contender: str, spent: Spent) -> Iterator[str]:
    said = spent.said
    yield from (corpus.name, contender, f"{corpus.table.num_rows:,}")
    yield from (f"{said[name]:.4f}" for name in ("precision", "recall", "f1", "bcubed_f1", "exact"))
    yield str(said["inn_conflicts"]) if corpus.shape == "clients" else ""
    yield from (f"{spent.wall:.1f}", f"{spent.peak_mb:.0f}")
    yield str(said.get("asked", ""))
    yield f"{said['best_f1']:.4f} at {said['best_weight']:.1f}" if "best_f1" in said else ""


def _note(spent: Spent) -> str:
    said = spent.said
    return (
        f"precision {said['precision']:.4f}, recall {said['recall']:.4f}, B-cubed {said['bcubed_f1']:.4f}, "
        f"{spent.wall:.1f} s, {spent.peak_mb:.0f} MB"
    )


# ---- in the worker -------------------------------------------------------------------------


def answered(contender: str, corpus: Corpus) -> Answer:
    if contender == "exact":
        return exact(corpus)
    if contender == "exact, INN alone":
        return same_inn(corpus)
    return splink(corpus, next(model for model in SPLINK if model.name == contender))


def ours(contender: str, corpus: Corpus, records: Any, said: dict[str, Any]) -> Answer:
    """Our labels; how many questions they leave goes into `said`. `records`: the corpus as a profile."""
    from pipelines.identity.resolve import resolve

    model = "clients" if corpus.shape == "clients" else "people"
    found = resolve(records, model)
    if contender == ASKED:
        truth = dict(zip(corpus.table["record_id"].to_pylist(), corpus.truth, strict=True))
        asked = found.questions()
        said["asked"] = len(asked)
        yes = [(left, right, "person") for left, right, _ in asked if truth[left] == truth[right]]
        no = [(left, right) for left, right, _ in asked if truth[left] != truth[right]]
        said["yes"] = len(yes)
        return Answer(found.again(must=yes, cannot=no).labels)
    at = {record: place for place, record in enumerate(corpus.table["record_id"].to_pylist())}
    pairs = Pairs(
        np.array([at[record] for record in found.pairs["left_id"].to_pylist()], dtype=np.int64),
        np.array([at[record] for record in found.pairs["right_id"].to_pylist()], dtype=np.int64),
        np.asarray(found.pairs["weight"].to_pylist(), dtype=np.float64),
    )
    return Answer(found.labels, pairs)


def main() -> None:
    contender, name = sys.argv[1:3]
    corpus = next(corpora([name]))
    said: dict[str, Any] = {}
    if contender in (OURS, ASKED):
        records = profile(corpus)
        with measured() as spent:
            answer = ours(contender, corpus, records, said)
    else:
        with measured() as spent:
            answer = answered(contender, corpus)
    said |= spent
    found: dict[str, Any] = asdict(measure(corpus.truth, answer.labels, corpus.inns))
    if answer.pairs is not None:
        best = best_threshold(
            corpus.truth, answer.pairs.left, answer.pairs.right, answer.pairs.weight, corpus.inns
        )
        found |= {"best_f1": best.quality.f1, "best_weight": best.weight}
    say({"who": contender, "corpus": name, **found, **said})


if __name__ == "__main__":
    main()
