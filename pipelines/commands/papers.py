"""`sverka act` and `sverka workbook`: what accountants print, sign and send."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road
from pipelines.papers import act as figures
from pipelines.papers import words as said
from pipelines.papers.party import Ambiguous, Party, find_counterparty, find_organization
from pipelines.processes import ProcessError
from resources.language import Language

FORMS: Final = (".xlsx", ".pdf")


def act(
    counterparty: str,
    first: date,
    last: date,
    output: Path,
    language: Language,
    *,
    organization: str = "",
    contract: str = "",
    currency: str = "",
) -> int:
    if output.suffix.lower() not in FORMS:
        return _refused(
            f"{output}: an act is written as {' or '.join(FORMS)}; let --output end so"
            if language == "en"
            else f"{output}: акт пишется в {' или '.join(FORMS)}; укажите такое имя в --output"
        )
    with road() as found, found.warehouse.transaction() as conn:
        party = find_counterparty(conn, counterparty, language)
        if isinstance(party, Ambiguous):
            return _refused(party.sentence)
        ours: Party | Ambiguous | None = (
            find_organization(conn, organization, language) if organization else None
        )
        if isinstance(ours, Ambiguous):
            return _refused(ours.sentence)
        try:
            wanted = figures.Wanted(party, first, last, ours, currency=currency.upper())
            if contract:
                key, name = figures.contract_of(conn, party.key, contract)
                wanted = replace(wanted, contract_key=key, contract=name)
            acts = figures.acts(conn, wanted)
        except figures.CannotAct as error:
            return _refused(str(error))
    if output.suffix.lower() == ".pdf":
        from pipelines.papers.act_page import write
    else:
        from pipelines.papers.act_sheet import write
    with written(output):
        write(acts, language, output)
    for one in acts:
        CONSOLE.print(
            f"{output}: {said.ours(one, language)} – {one.counterparty.name}, {one.currency}: "
            f"{said.conclusion(one, language)}",
            markup=False,
        )
        for note in said.notes(one, language):
            CONSOLE.print(f"  {note}", style="dim", markup=False)
    return 0


def workbook(name: str, output: Path, as_of: date | None, language: Language) -> int:
    from pipelines.papers.workbook import TABLES, TooMuch, write

    table = TABLES[name]
    if output.suffix.lower() != ".xlsx":
        return _refused(
            f"{output}: a workbook is written as .xlsx; let --output end so"
            if language == "en"
            else f"{output}: книга пишется в .xlsx; укажите такое имя в --output"
        )
    if as_of is not None and not table.has_day:
        return _refused(
            f"{name} are told as they stand now, of no past day; leave --as-of out"
            if language == "en"
            else f"{table.ru}: только на сейчас, прошлой даты нет; уберите --as-of"
        )
    with road() as found, found.warehouse.transaction() as conn, written(output):
        last = as_of or datetime.now(UTC).date()
        try:
            count = write(conn, name, language, output, first=last.replace(month=1, day=1), last=last)
        except TooMuch as error:
            return _refused(str(error))
    rows = "строк" if language == "ru" else "rows"
    CONSOLE.print(f"{output}: {show.number(count)} {rows}", markup=False)
    return 0


def _refused(sentence: str) -> int:
    CONSOLE.print(sentence, style="red", markup=False)
    return 1


@contextlib.contextmanager
def written(output: Path) -> Iterator[None]:
    """Within the block `output` is written. Raises ProcessError where that cannot be."""
    try:
        yield
    except OSError as error:
        raise ProcessError(
            f"{output} cannot be written ({error.strerror}); name another file with --output"
        ) from error
