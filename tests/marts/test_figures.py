"""Every figure of the marts has one definition, and what is written from the definitions is not stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import figures
from pipelines.figures import FigureError, document, figure, is_figure, labels, used
from pipelines.papers.workbook import TABLES
from pipelines.table import stage_tables

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_every_figure_of_every_mart_has_a_definition() -> None:
    bare = [f"{table.short_name}.{column.name}" for table, column, found in used() if found is None]
    assert bare == [], "add them to pipelines/marts/figures.yaml"


def test_every_definition_defines_something() -> None:
    meant = {found.name for _, _, found in used() if found}
    assert set(figures.figures()) - meant == set(), "no mart has these"
    columns = {column.name for table in stage_tables("marts") for column in table.columns}
    assert labels() - columns == set(), "no mart has these labels"


def test_the_document_of_figures_is_what_the_definitions_and_marts_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "sverka metrics --output docs/metrics.md"


def test_a_figure_that_is_defined_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = tmp_path / "figures.yaml"
    line = "  debt: {en: Debt, ru: Долг, unit: money, means: owed}\n"
    twice.write_text(f"labels: []\nfigures:\n{line}{line}", encoding="utf-8")
    monkeypatch.setattr(figures, "PATH", twice)
    figures._read.cache_clear()
    try:
        with pytest.raises(FigureError, match="debt is defined twice"):
            figures._read()
    finally:
        figures._read.cache_clear()


def test_no_mart_has_two_figures_of_one_title() -> None:
    for table in stage_tables("marts"):
        found = [figure(table.short_name, column.name) for column in table.columns if is_figure(column)]
        for titles in ([one.en for one in found if one], [one.ru for one in found if one]):
            assert len(titles) == len(set(titles)), (table.name, titles)


def test_workbooks_call_figures_by_their_titles() -> None:
    marts = {"receivables": "receivables", "variances": "variance", "ledger": "settlement_turnover"}
    for book, mart in marts.items():
        for column in TABLES[book].columns:
            if column.kind in ("money", "count") and column.name not in labels():
                found = figure(mart, column.name)
                assert found is not None
                assert (column.en, column.ru) == (found.en, found.ru)
