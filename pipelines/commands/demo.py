"""`sverka demo`: the demo company carried down the whole road, and what came of it in words."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from pipelines.commands import show
from pipelines.commands.run import Ran, run_job
from pipelines.commands.session import CONSOLE, Sandbox, claim, database, forget, start_sandbox
from pipelines.company import DEMO_FOLDER, company_mappings
from pipelines.processes import Processes
from pipelines.sync import Road
from resources.warehouse import Warehouse, home_folder

TICK = {"days": 3, "deals": 20}
OTHERS = ("SVERKA_DATABASE", "SVERKA_ONEC", "SVERKA_BITRIX24", "SVERKA_DROP")


def demo(*, fresh: bool) -> int:
    os.environ["SVERKA_MAPPINGS"] = str(DEMO_FOLDER)
    for name in [name for name in os.environ if name.startswith(OTHERS)]:
        del os.environ[name]  # whatever is set for somebody's own systems: the demo touches none of them
    home = home_folder()
    claim(home, "demo")
    if fresh:
        forget(home)
    with database(home) as warehouse, Processes(home) as processes:
        CONSOLE.print(
            "[bold]1. A company and its systems[/]: Bitrix24, spreadsheets of a branch, 1C — simulated on this machine"
        )
        sandbox = start_sandbox(processes, home)
        drop = home / "drop"
        if not any(drop.glob("*")):
            sandbox.control("files", {"folder": str(drop)})
            _rest(drop)
        CONSOLE.print("[bold]2. The first sync[/]: everything is new")
        first = run_job("sync")
        if not first.success:
            return _give_up("The first sync failed", first)
        CONSOLE.print("[bold]3. A second sync[/]: nothing changed, so nothing may happen")
        before = _operations(warehouse)
        second = run_job("sync", quiet=True)
        if not second.success:
            return _give_up("The second sync failed", second)
        planned = _operations(warehouse) - before
        CONSOLE.print(f"  {planned} operations planned, {second.seconds:.1f} s")
        CONSOLE.print("[bold]4. Three days pass[/]: new deals, corrections, payments, an accountant at work")
        _tell(sandbox.control("tick", TICK))
        # The nightly job: it also foretells what will be paid, out of the payments that have come by now, and checks whole tables.
        third = run_job("reconcile")
        if not third.success:
            return _give_up("The night after three days failed", third)
        CONSOLE.print("")
        good = _summary(warehouse, sandbox)
        if planned:
            CONSOLE.print(
                f"The second sync planned {planned} operations; it should have planned none.", style="red"
            )
        return 0 if good and planned == 0 else 1


def _report(warehouse: Warehouse) -> Path:
    """Write the pages of what came of it, in English and Russian; the one to begin with."""
    from pipelines.report.step import write_both

    road = Road(warehouse, company_mappings())
    return write_both(road, datetime.now(UTC).date())["en"].start


def _rest(folder: Path) -> None:
    """Let the files be a minute old: one that was saved just now may still be growing, and is left alone."""
    for file in folder.glob("*"):
        then = file.stat().st_mtime - 60
        os.utime(file, (then, then))


def _give_up(what: str, ran: Ran) -> int:
    """What went wrong stands above already, where Dagster told it."""
    why = (
        "for the reason above" if ran.messages else "for a reason that the run's log in the UI tells: make up"
    )
    CONSOLE.print(
        f"\n{what} {why} (run {ran.run_id[:8]}).\nWhen it is mended, make demo goes on from here, "
        "and .venv/bin/sverka demo --fresh begins anew.",
        style="red",
        markup=False,
    )
    return 1


def _operations(warehouse: Warehouse) -> int:
    return int(warehouse.scalar("select count(*) from ops.operation") or 0)


def _tell(ticked: dict[str, object]) -> None:
    counts: dict[str, int] = {}
    for found in (ticked, *(value for value in ticked.values() if isinstance(value, dict))):
        counts |= {str(k): v for k, v in found.items() if isinstance(v, int) and v}
    told = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in counts.items()
        if name != "tick"
        and not name.startswith("case:")  # how payments come apart is the sandbox's own affair
    ]
    CONSOLE.print("  " + ", ".join(told), style="dim")


def _summary(warehouse: Warehouse, sandbox: Sandbox) -> bool:
    show.carried(warehouse)
    show.held_by_reason(warehouse)
    good = show.reconciliation(warehouse)
    made = show.table(
        "Receivables, oldest first", "client", "manager", "document", "due", "debt", right=("debt",)
    )
    for client, manager, number, due, debt, currency in warehouse.rows(
        """
        select coalesce(client, counterparty), manager, number, due_on, debt, currency
        from marts.receivables order by due_on limit 8
        """
    ):
        show.row(
            made,
            client or "",
            manager or "",
            number or "",
            f"{due:%d.%m.%Y}" if due else "",
            f"{show.money(debt)} {currency}",
        )
    CONSOLE.print(made, "")
    CONSOLE.print(f"The report:      {_report(warehouse)}", markup=False, soft_wrap=True)
    CONSOLE.print(
        "Open the UI:     [bold]make up[/]   (asset graph, runs, checks; Ctrl-C stops it)\n"
        "What is held:    [bold].venv/bin/sverka hold list[/]\n"
        "Where it stands: [bold].venv/bin/sverka status[/]"
    )
    return good


__all__ = ["Ran", "demo"]
