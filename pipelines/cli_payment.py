"""The verbs of `sverka payment`: what payments pay where accounting does not say, and what people decide about it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from pipelines.options import By, InLanguage, Reason

APayment = Annotated[str, typer.Argument(help="The payment: its key, such as onec:..., or its number.")]

payment_app = typer.Typer(
    no_args_is_help=True, help="What payments pay where accounting does not say: see, decide, take it back."
)


@payment_app.command("list")
def payment_list(
    language: InLanguage = "en",
    decided: Annotated[
        bool, typer.Option("--decided", help="What was decided instead, with its numbers.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1_000)] = 50,
) -> None:
    """Payments of which something is not allocated, the latest first, each with the likeliest document."""
    from pipelines.commands.payment import payment_list as run

    raise typer.Exit(run(language, limit=limit, decided=decided))


@payment_app.command("show")
def payment_show(payment: APayment, language: InLanguage = "en") -> None:
    """A payment: what it pays and why, and what it may pay."""
    from pipelines.commands.payment import payment_show as run

    raise typer.Exit(run(payment, language))


@payment_app.command("allocate")
def payment_allocate(
    payment: APayment,
    by: By,
    reason: Reason,
    document: Annotated[
        str | None,
        typer.Argument(help="The document that it pays: its key or number, as marts.receivables shows it."),
    ] = None,
    amount: Annotated[
        str | None, typer.Option(help="So much of it; without it as much as both have left.")
    ] = None,
    none: Annotated[
        bool, typer.Option("--none", help="What is left of it pays nothing that is known.")
    ] = False,
    language: InLanguage = "en",
) -> None:
    """Say what a payment pays; the next sync applies it. It goes before every rule, and after what accounting states."""
    from pipelines.commands.payment import payment_allocate as run

    if (document is None) != none:
        raise typer.BadParameter("name a document, or say --none")
    if none and amount is not None:
        raise typer.BadParameter("--amount goes with a document")
    try:
        wanted = None if amount is None else Decimal(amount.replace(" ", "").replace(",", "."))
    except InvalidOperation:
        wanted = Decimal("nan")
    if wanted is not None and not wanted.is_finite():
        raise typer.BadParameter(f"{amount} is no amount; write it as 1234.50")
    raise typer.Exit(run(payment, document, wanted, by, reason, language))


@payment_app.command("undo")
def payment_undo(
    decision: Annotated[
        str, typer.Argument(help="The number of the decision; `sverka payment list --decided` names it.")
    ],
    by: By,
    reason: Reason,
    language: InLanguage = "en",
) -> None:
    """Take a decision back, the score's too. The payment is then allocated as it would be without it."""
    from pipelines.commands.payment import payment_undo as run

    raise typer.Exit(run(decision, by, reason, language))


@payment_app.command("calibrate")
def payment_calibrate(language: InLanguage = "en") -> None:
    """Measure on payments whose document is known how often the score is right. What it shows is kept: only where that
    is 99 in 100 at least, the score allocates without a person."""
    from pipelines.commands.payment import payment_calibrate as run

    raise typer.Exit(run(language))
