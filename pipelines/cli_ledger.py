"""The verbs of the signed ledger: variances and what is decided about them, acts of reconciliation, workbooks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.options import By, InLanguage, Reason

DAYS = ["%Y-%m-%d", "%d.%m.%Y"]
Status = Literal["all", "open", "accepted", "resolved"]
Book = Literal["receivables", "variances", "held", "ledger"]
Numbers = Annotated[
    list[str], typer.Argument(help="Numbers of variances, as `sverka variance list` shows them.")
]

variance_app = typer.Typer(
    no_args_is_help=True,
    help="What CRM and accounting differ by: what caused it, what to do; accept one as it is, take that back.",
)


@variance_app.command("list")
def variance_list(
    status: Annotated[
        Status, typer.Option(help="Of these; all: open and accepted; resolved: those that are gone.")
    ] = "all",
    counterparty: Annotated[str, typer.Option(help="Of this one: INN, name or key.")] = "",
    reason: Annotated[str, typer.Option(help="With this reason, such as amount.")] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=100_000)] = 50,
    language: InLanguage = "en",
) -> None:
    """Variances, the largest first, and their sums: an accepted one is in them, and marked."""
    from pipelines.commands.variance import variance_list as run

    wanted = "" if status == "all" else status
    raise typer.Exit(run(language, status=wanted, counterparty=counterparty, reason=reason, limit=limit))


@variance_app.command("show")
def variance_show(
    number: Annotated[str, typer.Argument(help="The number of the variance.")], language: InLanguage = "en"
) -> None:
    """One variance: both sides, since when, the change that caused it, what resolved it, every decision about it."""
    from pipelines.commands.variance import variance_show as run

    raise typer.Exit(run(number, language))


@variance_app.command("prices")
def variance_prices(
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=100_000)] = 50,
    language: InLanguage = "en",
) -> None:
    """Products whose price in the CRM is not their price in accounting: since which day, who moved, what to do.

    They stand in no sum: a price list is owed by nobody. The latest drift comes first.
    """
    from pipelines.commands.prices import variance_prices as run

    raise typer.Exit(run(language, limit=limit))


@variance_app.command("accept")
def variance_accept(numbers: Numbers, by: By, reason: Reason, language: InLanguage = "en") -> None:
    """Accept variances as they are. They stay in every sum, and are open again when their amount changes."""
    from pipelines.commands.variance import variance_decide as run

    raise typer.Exit(run("accept", numbers, by, reason, language))


@variance_app.command("reopen")
def variance_reopen(numbers: Numbers, by: By, reason: Reason, language: InLanguage = "en") -> None:
    """Take back that variances were accepted; both decisions stay on record."""
    from pipelines.commands.variance import variance_decide as run

    raise typer.Exit(run("reopen", numbers, by, reason, language))


def act(
    counterparty: Annotated[
        str,
        typer.Argument(help="INN, or INN/KPP, name or key; of several that fit each is listed."),
    ],
    first: Annotated[datetime, typer.Option("--from", formats=DAYS, help="First day of the period.")],
    last: Annotated[datetime, typer.Option("--to", formats=DAYS, help="Last day of the period.")],
    output: Annotated[Path, typer.Option(help="File to write: .xlsx or .pdf.")],
    organization: Annotated[
        str, typer.Option(help="Which of us: INN, name or key; without it an act for each.")
    ] = "",
    contract: Annotated[str, typer.Option(help="Only this contract: name, code or key.")] = "",
    currency: Annotated[
        str, typer.Option(help="Only this one, such as RUB; without it an act for each.")
    ] = "",
    language: InLanguage = "ru",
) -> None:
    """Write the act of reconciliation with a counterparty, to be signed by both sides.

    Opening balance, every document of the period with its debit or credit, turnover, closing balance, who owes whom how
    much, in figures and words. The columns of the other side stay blank. See docs/ledger.md.
    """
    from pipelines.commands.papers import act as run

    raise typer.Exit(
        run(
            counterparty, first.date(), last.date(), output, language,
            organization=organization, contract=contract, currency=currency,
        )
    )  # fmt: skip


def workbook(
    name: Annotated[Book, typer.Argument(help="What to write.")],
    output: Annotated[Path, typer.Option(help="File to write: .xlsx.")],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=DAYS, help="Of receivables and the ledger: as they stood at the end of this day."
        ),
    ] = None,
    language: InLanguage = "en",
) -> None:
    """Write a workbook: typed cells, filters, totals by currency. The ledger runs from 1 January of that year."""
    from pipelines.commands.papers import workbook as run

    raise typer.Exit(run(name, output, as_of.date() if as_of else None, language))
