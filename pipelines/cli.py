"""The `sverka` command: what a person types."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Carries a CRM into accounting, once and correctly, and proves that both sides agree to the last kopeck.",
)
hold = typer.Typer(no_args_is_help=True, help="Deals that the gate holds: list them, release them by name.")
sources = typer.Typer(no_args_is_help=True, help="The connected systems.")
mappings_app = typer.Typer(no_args_is_help=True, help="The mapping files.")
app.add_typer(hold, name="hold")
app.add_typer(sources, name="sources")
app.add_typer(mappings_app, name="mappings")

Reason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; kept with the release.")]
By = Annotated[str, typer.Option("--by", help="Who; kept with the decision.")]


@app.command()
def demo(
    fresh: Annotated[bool, typer.Option(help="Forget the demo company's state and begin anew.")] = False,
) -> None:
    """Carry the demo company down the whole road and show what came of it."""
    from pipelines.commands.demo import demo as run

    raise typer.Exit(run(fresh=fresh))


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI; 0 picks a free one.")] = 3000,
    once: Annotated[bool, typer.Option(hidden=True, help="Start, print the address, stop.")] = False,
) -> None:
    """Keep the UI, the daemon, the schedules and (for the demo company) the sandbox running until Ctrl-C."""
    from pipelines.commands.up import up as run

    raise typer.Exit(run(port, once=once))


@app.command()
def real(data: Annotated[Path, typer.Argument(help="Folder of crm_sales_opportunities.")]) -> None:
    """Carry a public set of 8,800 real-looking opportunities, with and without a product alias."""
    from pipelines.commands.real import real as run

    raise typer.Exit(run(data))


@app.command()
def sync(
    full: Annotated[bool, typer.Option(help="Read everything, not only what changed.")] = False,
    sweep: Annotated[bool, typer.Option(help="Compare every key, to see all deletions.")] = False,
    allow_deletions: Annotated[
        bool, typer.Option(help="Believe it when most records of a kind are gone at once.")
    ] = False,
) -> None:
    """Read what changed, carry it, reconcile, write back. Safe to run at any time and again."""
    from pipelines.commands.work import sync as run

    raise typer.Exit(run(full=full, sweep=sweep, allow_deletions=allow_deletions))


@app.command()
def plan(
    approve: Annotated[
        bool, typer.Option(help="Let the planned operations go (for targets with approval: manual).")
    ] = False,
    by: By = "",
) -> None:
    """Read what changed and show what would be written into accounting, line by line; nothing is sent."""
    from pipelines.commands.work import plan as run

    raise typer.Exit(run(approve=approve, by=by))


@app.command()
def status() -> None:
    """Where everything stands: sources, operations, held deals, both sides."""
    from pipelines.commands.work import status as run

    raise typer.Exit(run())


@app.command()
def reconcile() -> None:
    """Compare every key of every system, then both sides; exit 1 when a law is broken."""
    from pipelines.commands.work import reconcile as run

    raise typer.Exit(run())


@app.command()
def rebuild() -> None:
    """Make every derived table anew from what was received; the result must not differ."""
    from pipelines.commands.work import rebuild as run

    raise typer.Exit(run())


@hold.command("list")
def hold_list(language: Annotated[str, typer.Option("--language", help="en or ru")] = "en") -> None:
    """Deals held, with the reason and the remedy."""
    from pipelines.commands.work import hold_list as run

    raise typer.Exit(run(language))


@hold.command("release")
def hold_release(
    deal: Annotated[str, typer.Argument(help="The deal, such as bitrix24:4711.")],
    by: By,
    reason: Reason,
    check: Annotated[str, typer.Option(help="Only this check; without it all that hold the deal now.")] = "",
) -> None:
    """Let a held deal pass, and try again what accounting refused of it; by name and with a reason."""
    from pipelines.commands.work import hold_release as run

    raise typer.Exit(run(deal, by, reason, check))


@sources.command("check")
def sources_check(name: Annotated[str, typer.Argument(help="One system; all without it.")] = "") -> None:
    """Try every connection and right, and say in plain words what works."""
    from pipelines.commands.work import sources_check as run

    raise typer.Exit(run(name))


@mappings_app.command("docs")
def mappings_docs(
    language: Annotated[str, typer.Option("--language", help="en or ru")] = "en",
    output: Annotated[Path | None, typer.Option(help="File to write; printed without it.")] = None,
) -> None:
    """Write the mapping document that accountants sign."""
    from pipelines.commands.work import mappings_docs as run

    raise typer.Exit(run(language, output))


@mappings_app.command("check")
def mappings_check() -> None:
    """Read the mapping files and say what is wrong with them, by file and line."""
    from pipelines.commands.work import mappings_check as run

    raise typer.Exit(run())


def main() -> None:
    """Run the command; what a person can act on is a sentence, not a traceback."""
    from mappings import MappingError
    from pipelines.processes import ProcessError
    from resources.connector import SourceError
    from resources.postgres import ServerError
    from resources.warehouse import WarehouseError

    try:
        app()
    except (MappingError, SourceError, WarehouseError, ServerError, ProcessError) as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
