"""Options that several verbs of the `sverka` command share."""

from __future__ import annotations

from typing import Annotated

import typer

from resources.language import Language


def said(value: str | None) -> str | None:
    """A name or a reason that is only blanks says nothing."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it must not be empty")
    return value


InLanguage = Annotated[
    Language,
    typer.Option(
        "--language", help="Language of what is printed; what a system itself said stays in its own words."
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help="Why, in a sentence; kept with the decision.", callback=said)
]
By = Annotated[str, typer.Option("--by", help="Who; a name that is kept with the decision.", callback=said)]
Approver = Annotated[
    str | None,
    typer.Option("--by", help="Who approves; a name that is kept with the decision.", callback=said),
]
