"""Table files: what they must say, and that what they say is what they read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from pipelines.as_known import shown_table
from pipelines.lineage import column_lineage
from pipelines.table import STAGES, Table, TableFileError, in_order, read_table, tables

GOOD = """-- One row a thing.
--
-- @owner data-team
-- @scope thing_id
create table core.thing (
    thing_id text not null primary key, -- its id
    amount   numeric(18,2)              -- what it costs
);

-- @changed core.deal
select key from change
;

-- @all
select deal_id as key from core.deal
;

-- @rows
select deal_id as thing_id, amount from core.deal join scope on scope.key = deal_id
"""


def thing(tmp_path: Path, text: str) -> Table:
    folder = tmp_path / "core"
    folder.mkdir(exist_ok=True)
    path = folder / "thing.sql"
    path.write_text(text)
    return read_table(path)


def test_a_table_is_read_from_its_file(tmp_path: Path) -> None:
    table = thing(tmp_path, GOOD)
    assert (table.name, table.owner, table.scope, table.key) == (
        "core.thing",
        "data-team",
        "thing_id",
        "thing_id",
    )
    assert [(c.name, c.type, c.nullable) for c in table.columns] == [
        ("thing_id", "text", False),
        ("amount", "numeric(18,2)", True),
    ]
    assert table.upstreams == ("core.deal",)


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("-- One row a thing.\n--\n", "", "no description"),
        (" -- what it costs", "", "not a column with a comment"),
        ("core.thing (", "core.other (", "must create core.thing"),
        ("@scope thing_id", "@scope other_id", "@scope must name one of its columns"),
        ("-- @all\nselect deal_id as key from core.deal\n;\n", "", "no @all"),
        ("-- @owner", "-- @emits nothing\n-- @owner", "names 'nothing', which is no column"),
        (
            "-- @owner",
            "-- @planned by hash\n-- @owner",
            "@planned by hash: a view or a function is planned by hash",
        ),
    ],
)
def test_a_wrong_table_file_is_refused_by_name(tmp_path: Path, wrong: str, right: str, message: str) -> None:
    assert wrong in GOOD
    with pytest.raises(TableFileError, match=re.escape(message)) as refused:
        thing(tmp_path, GOOD.replace(wrong, right))
    assert "thing.sql" in str(refused.value)


def test_what_mappings_fill_is_kept_in_both_times_and_what_is_worked_out_since_it_is_known(
    tmp_path: Path,
) -> None:
    assert thing(tmp_path, GOOD).times == ()
    known = GOOD.replace("-- @owner", "-- @known\n-- @owner")
    assert thing(tmp_path, known).times == ("known_from",)
    mapped = GOOD[: GOOD.index("-- @rows")] + "-- @rows mapping\n"
    assert thing(tmp_path, mapped).times == ("said_from", "known_from")
    with pytest.raises(TableFileError, match="kept in both times already; leave the line out"):
        thing(tmp_path, mapped.replace("-- @owner", "-- @known\n-- @owner"))


def test_tables_that_change_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    one = thing(tmp_path, GOOD.replace("@changed core.deal", "@changed core.thing2"))
    two = thing(tmp_path, GOOD.replace("@changed core.deal", "@changed core.thing"))
    with pytest.raises(TableFileError, match=r"in a circle: core\.thing <- core\.thing2 <- core\.thing"):
        in_order({"core.thing": one, "core.thing2": two})


def test_the_road_never_runs_back() -> None:
    for table in tables().values():
        stages = [STAGES.index(up.split(".")[0]) for up in table.upstreams if not up.startswith("ops.")]
        assert all(stage <= STAGES.index(table.stage) for stage in stages), table.name


@pytest.mark.parametrize("name", [name for name, table in tables().items() if table.rows == "sql"])
def test_a_table_names_everything_that_it_reads(name: str) -> None:
    """Otherwise a change there would not be seen here, and an increment would differ from a rebuild."""
    table = tables()[name]
    tree = sqlglot.parse_one(table.rows_sql, read="postgres")
    found = [
        (t.db, t.this.name if isinstance(t.this, exp.Anonymous) else t.name) for t in tree.find_all(exp.Table)
    ]
    read = {_shown(f"{schema}.{short}") for schema, short in found if schema}
    assert read - set(table.upstreams) - {name} == set()


def _shown(name: str) -> str:
    """What a function that tells rows as known at a time reads; a mart of such a name is read itself."""
    return name if name in tables() else shown_table(name)


def test_lineage_names_the_columns_that_a_figure_is_made_of() -> None:
    lineage = column_lineage(tables()["documents.document"])
    assert ("documents.document_line", "amount") in lineage["amount"]
    assert ("documents.deal", "due_on") in lineage["due_on"]
    as_known = column_lineage(tables()["marts.obligation_as_of"])
    assert ("ledger.obligation", "amount") in as_known["amount"], "by the function that shows the table"


def test_lineage_covers_nearly_every_column_of_the_road() -> None:
    made = [t for t in tables().values() if t.rows == "sql"]
    columns = sum(len(t.columns) for t in made)
    known = sum(1 for t in made for origins in column_lineage(t).values() if origins)
    assert known / columns > 0.8
