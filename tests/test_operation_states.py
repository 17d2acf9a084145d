"""The steps that the database lets an operation take are those of the table in docs/operations.md."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from resources.warehouse import Warehouse

PAGE = Path(__file__).parents[1] / "docs" / "operations.md"
ROW = re.compile(r"^\| (?P<start>[a-z, ]+) \| (?P<end>[a-z, ]+) \|", re.M)
STATES = (
    "planned", "held", "approved", "sent", "uncertain", "confirmed", "verified", "rejected", "superseded", "reversed",
)  # fmt: skip


def test_the_table_of_the_page_and_the_function_name_the_same_steps(warehouse: Warehouse) -> None:
    table = PAGE.read_text().partition("| from | to | when |\n")[2].partition("\n\n")[0]
    said = {
        pair
        for row in ROW.finditer(table)
        for pair in product(row["start"].split(", "), row["end"].split(", "))
    }
    may = {
        pair
        for pair in product(STATES, repeat=2)
        if warehouse.scalar("select ops.may_move(%s, %s)", list(pair))
    }
    assert said == may
