"""What is certain without a score, and what no score may outweigh."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pipelines.identity.model import Model, Rule, load

if TYPE_CHECKING:
    import pyarrow as pa

SAME, ASK, DIFFERENT = "same", "ask", "different"
# In the order in which they are asked, the surest first. Each wants a level of its kind of every comparison named.
RULES: Final[tuple[tuple[str, tuple[Rule, ...]], ...]] = (
    ("inn_kpp", ("number", "registration")),  # one valid tax number and one KPP of it
    ("inn", ("number",)),  # one valid tax number; branches of an entity are one client
    ("phone_and_email", ("phone", "email", "persons")),  # of two persons; neither alone, neither of many
)
BY_NUMBER: Final = ("inn_kpp", "inn")
EVEN_ODDS: Final = 0.0  # of the weight


def judge(scored: pa.Table, model: str = "clients") -> pa.Table:
    """What `score` gave, and rule (a name of RULES or null) and outcome: same, ask or different.

    A tax number and its KPP join whatever the names say. A number alone is asked about where the odds are against it, for
    then the name is another and nothing else agrees: one in eleven slips in an INN makes the valid INN of another. It is
    no number that many different names hold (that level has no rule).
    Of a pair with a veto no other rule and no weight makes one client: it is asked about where its weight would ask
    or join, or is different.
    """
    return judged(scored, load(model))


def judged(scored: pa.Table, model: Model) -> pa.Table:
    """As `judge`, of a model at hand."""
    import duckdb

    by_rule = {
        rule: f"({' or '.join(conditions)})"
        for rule in ("number", "registration", "phone", "email", "persons")
        if (conditions := _levels(model, "rule", rule))
    }
    asked, barred = (" or ".join(_levels(model, "veto", veto)) or "false" for veto in (ASK, DIFFERENT))
    cases = " ".join(
        f"when {' and '.join(by_rule[rule] for rule in wanted)}"
        + ("" if name in BY_NUMBER else f" and not ({asked})")
        + f" then '{name}'"
        for name, wanted in RULES
        if all(rule in by_rule for rule in wanted)
    )
    tells = " or ".join(_levels(model, "tells", True)) or "true"
    rule = f"case {cases} end" if cases else "null::varchar"
    with duckdb.connect() as connection:
        connection.register("scored", scored)
        return connection.sql(f"""
            with ruled as (select *, {rule} as rule from scored)
            select *, case
                when {barred} then '{DIFFERENT}'
                when rule = 'inn' and weight < {EVEN_ODDS} then '{ASK}'
                when rule is not null then '{SAME}'
                when weight >= case when {tells} then {model.join} else {model.join_by_name} end and not ({asked})
                then '{SAME}'
                when weight >= {model.ask} then '{ASK}'
                else '{DIFFERENT}' end as outcome
            from ruled order by left_id, right_id
        """).to_arrow_table()


def _levels(model: Model, what: str, wanted: str | bool) -> list[str]:
    return [
        f"{comparison.name} = '{level.label}'"
        for comparison in model.comparisons
        for level in comparison.levels
        if getattr(level, what) == wanted
    ]


def explained(judged: pa.Table, model: str = "clients") -> list[str]:
    """For each pair JSON: comparison -> {"label": what was found, "weight": what it is worth}."""
    frozen = load(model)
    known: dict[tuple[str, str], dict[str, Any]] = {
        (comparison.name, level.label): {"label": level.label, "weight": round(level.weight, 2)}
        for comparison in frozen.comparisons
        for level in comparison.levels
    }
    names = [comparison.name for comparison in frozen.comparisons]
    columns = [judged[name].to_pylist() for name in names]
    return [
        json.dumps(
            {name: known[name, label] for name, label in zip(names, labels, strict=True)}, ensure_ascii=False
        )
        for labels in zip(*columns, strict=True)
    ]
