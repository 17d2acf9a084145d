"""The verbs of `sverka review`: records that may be one client, and what people decide about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import By, InLanguage, Reason

LeftRecord = Annotated[str, typer.Argument(help="A client's record, such as bitrix24:12.")]
RightRecord = Annotated[str, typer.Argument(help="The other one, such as amocrm:7.")]

review_app = typer.Typer(
    no_args_is_help=True,
    help="Records of CRMs that may be one client: see them side by side, decide, take it back.",
)


@review_app.command("list")
def review_list(
    language: InLanguage = "en",
    decided: Annotated[
        bool, typer.Option("--decided", help="What people decided instead, with its numbers.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1_000)] = 50,
) -> None:
    """Pairs of records that may be one client, the likeliest first."""
    from pipelines.commands.review import review_list as run

    raise typer.Exit(run(language, limit=limit, decided=decided))


@review_app.command("show")
def review_show(
    left: LeftRecord,
    right: RightRecord,
    language: InLanguage = "en",
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw what speaks for and against into this file instead, .svg or .html."),
    ] = None,
) -> None:
    """Both records side by side, what speaks for one client and against it, and what hangs on each."""
    from pipelines.commands.review import review_show as run

    raise typer.Exit(run(left, right, language, picture))


@review_app.command("same")
def review_same(
    left: LeftRecord, right: RightRecord, by: By, reason: Reason, language: InLanguage = "en"
) -> None:
    """Say that two records are one client. The next sync joins them, and their deals, debts and sums with them."""
    from pipelines.commands.review import review_decide as run

    raise typer.Exit(run(left, right, "same", by, reason, language))


@review_app.command("different")
def review_different(
    left: LeftRecord, right: RightRecord, by: By, reason: Reason, language: InLanguage = "en"
) -> None:
    """Say that two records are different clients. The next sync parts them where they were joined."""
    from pipelines.commands.review import review_decide as run

    raise typer.Exit(run(left, right, "different", by, reason, language))


@review_app.command("undo")
def review_undo(
    decision: Annotated[
        str, typer.Argument(help="The number of the decision; `sverka review list --decided` names it.")
    ],
    by: By,
    reason: Reason,
    language: InLanguage = "en",
) -> None:
    """Take a decision back. Records, ids and members are then as they would be without it."""
    from pipelines.commands.review import review_undo as run

    raise typer.Exit(run(decision, by, reason, language))
