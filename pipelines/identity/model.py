"""A frozen model: what is compared, what each outcome of a comparison is worth, and what makes two records one.

A model is a JSON file in `models/`. It is trained elsewhere (`python -m benchmarks.identity_training`) and read here, so
that the same two records get the same weight on every day. Weights are log2 of odds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.identity.words import FREE_MAIL

FOLDER: Final = Path(__file__).parent / "models"
SAME_WEIGHT: Final = 1e-9  # weights nearer than this are one

Veto = Literal["", "ask", "different"]
Rule = Literal["", "number", "registration", "phone", "email", "persons"]


@dataclass(frozen=True, slots=True)
class Level:
    """One outcome of a comparison. `sql`: a condition over the columns of two records, `x_l` and `x_r`.

    `m` and `u`: how often the outcome is seen among pairs of one client and of two; neither for `absent`.
    `fixed`: a weight set by hand in place of what they say.
    `veto`: such a pair is never joined without a person; "different" ones are not even asked about.
    `rule`: what exact rules know the level as (see `rules`). `tells`: what agrees is the client's own, as a phone is and
    a town is not.
    """

    label: str
    sql: str
    m: float = 1.0
    u: float = 1.0
    fixed: float | None = None
    absent: bool = False
    veto: Veto = ""
    rule: Rule = ""
    tells: bool = False

    @property
    def weight(self) -> float:
        if self.fixed is not None:
            return self.fixed
        return 0.0 if self.absent else math.log2(self.m / self.u)


@dataclass(frozen=True, slots=True)
class Comparison:
    name: str
    levels: tuple[Level, ...]

    def level(self, label: str) -> Level:
        return next(level for level in self.levels if level.label == label)


@dataclass(frozen=True, slots=True)
class Key:
    """A kind of value that records are found by. `sql`: text of a features row, or a list of texts with `many`.

    `pairs`: records that share a value are candidates. `buckets`: limits of records that hold a value, by which
    the comparison of `column` tells rare values from common ones; none where it does not.
    """

    kind: str
    sql: str
    many: bool = False
    pairs: bool = True
    column: str = ""
    buckets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StandIns:
    """What people type where a phone or an e-mail is demanded and none is known: it says nothing, and joins nobody.

    `phones`: E.164; `phone_ends`: last digits of any; `logins`: at any domain; `free_logins`: at free mail;
    `domains`: with all below them, so a last label alone ("test") stands for all of its own.
    """

    phones: frozenset[str] = frozenset()
    phone_ends: tuple[str, ...] = ()
    emails: frozenset[str] = frozenset()
    logins: frozenset[str] = frozenset()
    free_logins: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    def has_phone(self, phone: str) -> bool:
        return phone in self.phones or phone.endswith(self.phone_ends)

    def has_email(self, email: str) -> bool:
        login, _, domain = email.partition("@")
        labels = domain.split(".")
        return (
            email in self.emails
            or login in self.logins
            or (login in self.free_logins and domain in FREE_MAIL)
            or any(".".join(labels[at:]) in self.domains for at in range(len(labels)))
        )


@dataclass(frozen=True, slots=True)
class Model:
    """`join`: pairs of this weight and above are the same; `ask`: from here up to it a person is asked.

    `join_by_name`: in place of `join` where nothing that tells agrees: a name, even in one town, is held by several.

    `names_of_number`: a tax number held under more different names than this joins nothing by itself.
    """

    name: str
    prior: float
    join: float
    join_by_name: float
    ask: float
    names_of_number: int
    keys: tuple[Key, ...]
    comparisons: tuple[Comparison, ...]
    stand_ins: StandIns
    fingerprint: str

    def comparison(self, name: str) -> Comparison:
        return next(comparison for comparison in self.comparisons if comparison.name == name)

    def key(self, kind: str) -> Key:
        return next(key for key in self.keys if key.kind == kind)


@lru_cache(maxsize=8)
def load(name: str) -> Model:
    """The model of `models/NAME.json`; raises FileNotFoundError, and ValueError for one that cannot be told apart."""
    path = FOLDER / f"{name}.json"
    return parsed(json.loads(path.read_text(encoding="utf-8")))


def parsed(said: Mapping[str, Any]) -> Model:
    """A model of what its file says. The fingerprint covers everything that a weight or an outcome hangs on."""
    comparisons = tuple(
        Comparison(one["name"], tuple(Level(**level) for level in one["levels"]))
        for one in said["comparisons"]
    )
    for comparison in comparisons:
        _distinct(comparison)
    return Model(
        name=said["name"],
        prior=said["prior"],
        join=said["join"],
        join_by_name=said["join_by_name"],
        ask=said["ask"],
        names_of_number=said["names_of_number"],
        keys=tuple(Key(**{**key, "buckets": tuple(key.get("buckets", ()))}) for key in said["keys"]),
        comparisons=comparisons,
        stand_ins=_stand_ins(said.get("stand_ins", {})),
        fingerprint=sha256(
            json.dumps({k: v for k, v in said.items() if k != "made"}, sort_keys=True).encode()
        ).hexdigest()[:16],
    )


def _stand_ins(said: Mapping[str, Sequence[str]]) -> StandIns:
    kinds: dict[str, Any] = {kind: frozenset(values) for kind, values in said.items()}
    return StandIns(**{**kinds, "phone_ends": tuple(said.get("phone_ends", ()))})


def _distinct(comparison: Comparison) -> None:
    """Levels are known again by their weights, so no two of one comparison may weigh the same."""
    weights = sorted(level.weight for level in comparison.levels)
    for lower, higher in pairwise(weights):
        if higher - lower < 2 * SAME_WEIGHT:
            raise ValueError(
                f"two levels of the comparison {comparison.name!r} weigh {lower}; change one of them a little"
            )


def settings(model: Model) -> dict[str, Any]:
    """The model as Splink's settings."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "probability_two_random_records_match": model.prior,
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
        "blocking_rules_to_generate_predictions": [{"blocking_rule": "l.record_id = r.record_id"}],
        "comparisons": [
            {
                "output_column_name": comparison.name,
                "comparison_levels": [_level(level) for level in comparison.levels],
            }
            for comparison in model.comparisons
        ],
    }


def _level(level: Level) -> dict[str, Any]:
    said: dict[str, Any] = {"sql_condition": level.sql, "label_for_charts": level.label}
    if level.absent:
        return said | {"is_null_level": True}
    if level.fixed is not None:  # of two probabilities only the ratio counts
        m, u = min(1.0, 2.0**level.fixed), min(1.0, 2.0**-level.fixed)
        return said | {"m_probability": m, "u_probability": u}
    return said | {"m_probability": level.m, "u_probability": level.u}
