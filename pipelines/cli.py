"""The `sverka` command: what a person types."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

_WE_ARE_THE_PROGRAM = __name__ == "__main__" or Path(sys.argv[0]).name == "sverka"
if _WE_ARE_THE_PROGRAM and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # While it loads there is nothing to clean up, and a traceback would tell nobody anything.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # as in pipelines/processes.py

import typer  # noqa: E402 (what stands above must be done first)

from pipelines.cli_ledger import act, variance_app, workbook  # noqa: E402
from pipelines.cli_payment import payment_app  # noqa: E402
from pipelines.cli_report import export, metrics, report  # noqa: E402
from pipelines.cli_review import review_app  # noqa: E402
from pipelines.options import Approver, By, InLanguage, Reason  # noqa: E402

HOOKS_PORT = 8300  # of the receiver of webhooks; a reverse proxy names it too

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Carries a CRM into accounting, once and correctly, and proves that both sides agree to the last kopeck.",
)
hold = typer.Typer(no_args_is_help=True, help="Deals that the gate holds: list them, release them by name.")
questions_app = typer.Typer(
    no_args_is_help=True,
    help="Documents in accounting that their deals no longer agree with: see and decide.",
)
sources = typer.Typer(no_args_is_help=True, help="The connected systems.")
mappings_app = typer.Typer(no_args_is_help=True, help="The mapping files.")
operations_app = typer.Typer(
    no_args_is_help=True,
    help="The documents of a deal in accounting, and how they came about; its counterparty and products, and what went back"
    " to the CRM, are rows of marts.operation.",
)
app.add_typer(hold, name="hold")
app.add_typer(payment_app, name="payment")
app.add_typer(review_app, name="review")
app.add_typer(questions_app, name="questions")
app.add_typer(operations_app, name="operations")
app.add_typer(sources, name="sources")
app.add_typer(mappings_app, name="mappings")
app.add_typer(variance_app, name="variance")
app.command()(act)
app.command()(workbook)
app.command()(report)
app.command()(export)
app.command()(metrics)


@app.command()
def demo(
    fresh: Annotated[bool, typer.Option(help="Forget the demo company's state and begin anew.")] = False,
) -> None:
    """Carry the demo company down the whole road and show what came of it."""
    from pipelines.commands.demo import demo as run

    raise typer.Exit(run(fresh=fresh))


@app.command()
def up(
    port: Annotated[
        int, typer.Option(help="Port of the Dagster UI; 0 picks a free one.", min=0, max=65535)
    ] = 3000,
    hooks_port: Annotated[
        int,
        typer.Option(
            help="Port of the receiver of webhooks, if a system has a hook_secret.", min=0, max=65535
        ),
    ] = HOOKS_PORT,
    once: Annotated[bool, typer.Option(hidden=True, help="Start, print the address, stop.")] = False,
) -> None:
    """Keep the UI, the daemon, the schedules, the receiver of webhooks (where a system has a hook_secret) and
    (for the demo company) the sandbox running until Ctrl-C."""
    from pipelines.commands.up import up as run

    raise typer.Exit(run(port, hooks_port=hooks_port, once=once))


@app.command()
def hooks(
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.", min=0, max=65535)
    ] = HOOKS_PORT,
    show_addresses: Annotated[
        bool,
        typer.Option(help="Only print the addresses to enter at the vendors, secrets and all."),
    ] = False,
) -> None:
    """Receive the webhooks of every connected system that has a hook_secret, until Ctrl-C.

    It listens on 127.0.0.1 without TLS: a reverse proxy with a certificate must stand before it and pass /hooks/ on.
    See docs/webhooks.md.
    """
    from pipelines.commands.hooks import hooks as run

    raise typer.Exit(run(port, show_addresses=show_addresses))


@app.command()
def real(
    data: Annotated[
        Path,
        typer.Argument(help="Folder with accounts.csv, products.csv, sales_pipeline.csv, sales_teams.csv."),
    ],
) -> None:
    """Carry the public sample crm_sales_opportunities into the sandbox's 1C, without and with a product alias.

    Begins anew each time, in a home of its own; exit 1 when the figures do not agree.
    """
    from pipelines.commands.real import real as run

    raise typer.Exit(run(data))


@app.command()
def sync(
    full: Annotated[
        bool, typer.Option(help="Read every record, not only what changed; after naming a new field.")
    ] = False,
    sweep: Annotated[
        bool, typer.Option(help="Compare the ids of every entity now, to see all deletions; else once a day.")
    ] = False,
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
        bool,
        typer.Option(
            help="Let go what is planned and shown (where the mapping says approval: manual); with --by."
        ),
    ] = False,
    by: Approver = None,
    whole: Annotated[bool, typer.Option(help="Show all of it, however much it is.")] = False,
    language: InLanguage = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for a program.")] = False,
) -> None:
    """Read what changed and show what would be written into accounting, line by line; nothing is sent.

    Of what changes, old and new of every field and line; of what is held, why; the rest is counted.
    """
    from pipelines.commands.work import plan as run

    if approve != (by is not None):
        raise typer.BadParameter("--approve and --by NAME go together")
    if approve and as_json:
        raise typer.BadParameter("--json only shows; approve without it")
    raise typer.Exit(run(approved_by=by, whole=whole, language=language, as_json=as_json))


@app.command()
def status(language: InLanguage = "en") -> None:
    """Where everything stands: sources and how fresh each is, operations, held deals, both sides."""
    from pipelines.commands.work import status as run

    raise typer.Exit(run(language))


@app.command()
def reconcile(language: InLanguage = "en") -> None:
    """Read the CRM whole and compare every key and version of accounting, carry what differs, then compare both
    sides: what the night does. Exit 1 when a law is broken or a system did not answer.
    """
    from pipelines.commands.work import reconcile as run

    raise typer.Exit(run(language))


@app.command()
def rebuild() -> None:
    """Make the derived tables anew from what was received; exit 1 when one of them comes out otherwise.

    What the gate found (documents.failure) is not made by SQL and comes with the next sync.
    """
    from pipelines.commands.work import rebuild as run

    raise typer.Exit(run())


@hold.command("list")
def hold_list(language: InLanguage = "en") -> None:
    """Deals held, with the reason and the remedy."""
    from pipelines.commands.work import hold_list as run

    raise typer.Exit(run(language))


@hold.command("release")
def hold_release(
    deal: Annotated[str, typer.Argument(help="The deal, such as bitrix24:4711.")],
    by: By,
    reason: Reason,
    check: Annotated[str, typer.Option(help="Only this check; without it all that hold the deal now.")] = "",
    language: InLanguage = "en",
) -> None:
    """Let a held deal pass, and try again what accounting refused of it; by name and with a reason.

    The next sync carries it; with approval: manual, once it is approved (sverka plan --approve).
    """
    from pipelines.commands.work import hold_release as run

    raise typer.Exit(run(deal, by, reason, check, language))


@questions_app.command("list")
def questions_list(language: InLanguage = "en") -> None:
    """What accounting holds otherwise than the deals say by now, and somebody has to decide."""
    from pipelines.commands.decisions import questions_list as run

    raise typer.Exit(run(language))


@questions_app.command("answer")
def questions_answer(
    question: Annotated[str, typer.Argument(help="The question, or the beginning of its id.")],
    action: Annotated[str, typer.Argument(help="update, correction, reversal, post or leave.")],
    by: By,
    reason: Reason,
    language: InLanguage = "en",
) -> None:
    """Decide; the next sync does it. update: change the document (unposting it first); correction: a document beside it;
    reversal: a return, and a new document; post: what accounting unposted is posted again; leave: it stays as it is, and the
    difference stays a variance."""
    from pipelines.commands.decisions import questions_answer as run

    raise typer.Exit(run(question, action, by, reason, language))


@app.command()
def undo(
    deal: Annotated[str, typer.Argument(help="The deal, such as bitrix24:4711.")],
    by: By,
    reason: Reason,
    kind: Annotated[str, typer.Option(help="The kind of document.")] = "realization",
    language: InLanguage = "en",
) -> None:
    """Take a posted document back by a return; never by deleting it. The deal gets no other one."""
    from pipelines.commands.decisions import undo_document as run

    raise typer.Exit(run(deal, kind, by, reason, language))


@app.command()
def journal(
    output: Annotated[Path | None, typer.Option(help="File to write; printed without it.")] = None,
    form: Annotated[str, typer.Option("--format", help="hledger or beancount.")] = "hledger",
) -> None:
    """Write accounting's entries as plain text, with its balances as assertions, for a program that checks books."""
    from pipelines.commands.journal import journal as run

    if form not in ("hledger", "beancount"):
        raise typer.BadParameter(f"{form} is no format; there are hledger and beancount")
    raise typer.Exit(run(output, "beancount" if form == "beancount" else "hledger"))


@operations_app.command("show")
def operations_show(
    deal: Annotated[str, typer.Argument(help="The deal, such as bitrix24:4711.")],
    language: InLanguage = "en",
) -> None:
    """The documents of a deal and their life: planned, sent, verified, edited in accounting, corrected; by whom and why."""
    from pipelines.commands.operations import operations_show as run

    raise typer.Exit(run(deal, language))


@sources.command("retry")
def sources_retry(
    name: Annotated[str, typer.Argument(help="The system that is left alone, as `sverka status` names it.")],
) -> None:
    """Let the next sync try a system at once that did not answer, instead of after its pause."""
    from pipelines.commands.operations import sources_retry as run

    raise typer.Exit(run(name))


@sources.command("check")
def sources_check(name: Annotated[str, typer.Argument(help="One system; all without it.")] = "") -> None:
    """Try every connection and right, and say in plain words what works."""
    from pipelines.commands.work import sources_check as run

    raise typer.Exit(run(name))


@mappings_app.command("docs")
def mappings_docs(
    language: InLanguage = "en",
    output: Annotated[Path | None, typer.Option(help="File to write; printed without it.")] = None,
) -> None:
    """Write the mapping document that accountants sign."""
    from pipelines.commands.work import mappings_docs as run

    raise typer.Exit(run(language, output))


@mappings_app.command("diff")
def mappings_diff(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of mapping files, or one file in place of the company's; edit a copy. Without it the company's as they are"
            " now, which any other command or sensor deploys."
        ),
    ] = None,
    language: InLanguage = "en",
    whole: Annotated[bool, typer.Option("--whole", help="Show every document.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Show which deals and documents changed mapping files would touch, before they are deployed. Nothing is left behind."""
    from pipelines.commands.mapping_diff import mappings_diff as run

    raise typer.Exit(run(path, whole=whole, language=language, as_json=as_json))


@mappings_app.command("check")
def mappings_check() -> None:
    """Read the mapping files and say what is wrong with them, by file and line."""
    from pipelines.commands.work import mappings_check as run

    raise typer.Exit(run())


def main() -> None:
    """Run the command; what a person can act on is a sentence, not a traceback."""
    from pipelines.signals import Stopped, heeded

    logging.getLogger("psycopg").setLevel(logging.ERROR)  # of a connection cut in two it only says that it is
    try:
        with heeded():
            _run()
    except Stopped as stopped:
        typer.secho(stopped.message, err=True)
        if _WE_ARE_THE_PROGRAM:  # threads that still wait for an answer would be waited for
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(128 + stopped.number)
        sys.exit(stopped.code)


def _run() -> None:
    from mappings import MappingError
    from pipelines.processes import ProcessError
    from resources.connector import SourceError
    from resources.postgres import ServerError, explained
    from resources.warehouse import WarehouseError, home_folder

    for word in sys.argv[1:]:
        if word != word.encode(errors="replace").decode():
            _refuse(f"{word.encode(errors='replace').decode()!r} is no UTF-8 text; type it once more", code=2)
    try:
        with explained(home_folder()):
            app()
    except (MappingError, SourceError, WarehouseError, ServerError, ProcessError) as error:
        _refuse(str(error))
    except Exception as error:
        if (sentence := _database_trouble(error)) is None:
            raise
        _refuse(sentence)


def _refuse(sentence: str, code: int = 1) -> NoReturn:
    typer.secho(sentence, fg=typer.colors.RED, err=True)
    sys.exit(code)


def _database_trouble(error: BaseException) -> str | None:
    """The sentence for what the database refuses anywhere, Dagster's own storage included; None for other errors."""
    import psycopg

    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        said = " ".join(str(found).split())
        if isinstance(found, psycopg.errors.InsufficientPrivilege):
            return (
                f"PostgreSQL: {said}; the user of SVERKA_DATABASE_URL must own the database, or be granted "
                "CREATE on it: GRANT CREATE ON DATABASE ... TO ..."
            )
        if isinstance(found, psycopg.OperationalError):
            return (
                f"PostgreSQL: {said}; see that it runs and has disk space, then run it again: nothing is lost"
            )
        found = getattr(found, "orig", None) or found.__cause__ or found.__context__
    return None


if __name__ == "__main__":
    main()
