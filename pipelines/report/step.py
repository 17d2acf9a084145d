"""What the Dagster step `report` does. Imported when it runs, not when the code location loads."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg

from pipelines import stages
from pipelines.report.sections import SECTIONS
from pipelines.report.write import Written, ask, raw_tables, told_by_accounting, write
from pipelines.sync import Road
from resources.language import LANGUAGES, Language
from resources.warehouse import home_folder

SHOWN: Final = (
    "index",
    "receivables",
    "funnel",
)  # sections of which the UI shows a picture; each lies in the event log
TITLES: Final[Mapping[Language, str]] = {"en": "English", "ru": "Russian"}


def folder() -> Path:
    """Where the nightly report lies: a folder a language in it."""
    return home_folder() / "report"


def write_both(road: Road, as_of: date, *, with_png: bool = False) -> dict[Language, Written]:
    """Write the report in every language, each leading to the other. Raises OSError."""
    asked = ask(road.warehouse, as_of, raw_tables(road), told_by_accounting(road))
    others: Mapping[Language, Language] = {"en": "ru", "ru": "en"}
    return {
        language: write(
            road.warehouse, folder() / language, language, asked, other=f"../{others[language]}",
            with_png=with_png and language == "en",
        )
        for language in LANGUAGES
    }  # fmt: skip


def write_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    written = write_both(stages.road_of(context), datetime.now(UTC).date(), with_png=True)
    told = written["en"]
    titles = {section.name: section.en.lower() for section in SECTIONS}
    metadata: dict[str, Any] = {
        TITLES[language]: dg.MetadataValue.path(str(one.start)) for language, one in written.items()
    }
    metadata |= {"pages": told.pages, "dagster/row_count": sum(told.rows.values())}
    metadata |= {f"rows of {titles[name]}": rows for name, rows in told.rows.items()}
    for name in SHOWN:
        if (found := told.pictures.get(name)) is not None:
            address = f"data:image/png;base64,{base64.b64encode(found.png).decode()}"
            metadata[f"picture of {titles[name]}"] = dg.MetadataValue.md(f"![{found.says}]({address})")
    return dg.MaterializeResult(metadata=metadata)
