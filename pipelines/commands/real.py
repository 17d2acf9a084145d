"""`sverka real DATA`: the public sample of sales opportunities carried into an empty 1C, twice over.

First without the alias that its misspelt product needs: those deals are held, the rest is carried. Then the
alias is added and one more sync carries the held ones and nothing twice. Each figure is read from the
warehouse and from accounting when it is printed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pipelines.commands import show
from pipelines.commands.run import run_job
from pipelines.commands.session import CONSOLE, claim, database, forget, start_sandbox
from pipelines.processes import Processes
from resources.warehouse import PROJECT, Warehouse, home_folder

MAPPINGS: Final = PROJECT / "mappings" / "sales_opportunities"
FILES: Final = ("accounts.csv", "products.csv", "sales_teams.csv", "sales_pipeline.csv")


def real(data: Path) -> int:
    missing = [name for name in FILES if not (data / name).is_file()]
    if missing:
        CONSOLE.print(
            f"{data} lacks {', '.join(missing)}; name the folder of the sample “CRM sales opportunities”",
            style="red",
        )
        return 2
    home = home_folder() if "SVERKA_HOME" in os.environ else PROJECT / ".sverka" / "real"
    claim(home, "real")
    forget(home)
    (home / "drop").mkdir()
    for name in FILES:
        shutil.copy2(data / name, home / "drop" / name)
    mappings = home / "mappings"
    os.environ.update({"SVERKA_MAPPINGS": str(mappings), "SVERKA_DROP_FOLDER": str(home / "drop")})
    os.environ.pop("SVERKA_DATABASE_URL", None)
    with Processes(home) as processes, database(home) as warehouse:
        start_sandbox(processes, home, "--deals", "0")
        CONSOLE.print("[bold]1. Without the alias for GTXPro[/]")
        _mappings(mappings, alias=False)
        ran = [run_job("sync")]
        without = _figures(warehouse)
        _print(without)
        CONSOLE.print("[bold]2. The alias is added; one more sync[/]")
        _mappings(mappings, alias=True)
        ran.append(run_job("sync"))
        with_alias = _figures(warehouse)
        _print(with_alias)
        CONSOLE.print("[bold]3. Another sync[/]: nothing changed")
        before = int(warehouse.scalar("select count(*) from ops.operation") or 0)
        ran.append(run_job("sync", quiet=True))
        planned = int(warehouse.scalar("select count(*) from ops.operation") or 0) - before
        CONSOLE.print(f"  operations planned: {planned}\n")
        agrees = show.reconciliation(warehouse)
        good = agrees and planned == 0 and with_alias["variances"] == 0 and all(r.success for r in ran)
        return 0 if good else 1


def _mappings(folder: Path, *, alias: bool) -> None:
    """The sample's mapping files, with or without its product alias."""
    folder.mkdir(exist_ok=True)
    for path in MAPPINGS.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        if path.stem == "crm" and not alias:
            lines, inside = [], False
            for line in text.splitlines(keepends=True):
                if line.strip() == "aliases:":
                    inside = True
                elif inside and not line.startswith("    "):
                    inside = False
                if not inside:
                    lines.append(line)
            text = "".join(lines)
            assert "aliases" not in yaml.safe_load(text)["products"]
        (folder / path.name).write_text(text, encoding="utf-8")


def _figures(warehouse: Warehouse) -> Mapping[str, Any]:
    """Counts and sums as they stand in the warehouse; documents as accounting holds them."""
    documents = {
        kind: (count, total)
        for kind, count, total in warehouse.rows(
            """
            select kind, count(*), sum(amount) from ledger.document
            where not is_deleted and (kind = 'invoice' or is_posted) group by kind
            """
        )
    }
    held = warehouse.rows(
        """
        select count(distinct deal_id), coalesce(sum(amount), 0), count(distinct check_name), min(reason)
        from documents.held
        """
    )[0]
    won = warehouse.rows(
        "select count(*), coalesce(sum(coalesce(line_amount, amount)), 0) from documents.deal"
    )[0]
    return {
        "won": won,
        "invoices": documents.get("invoice", (0, 0)),
        "realizations": documents.get("realization", (0, 0)),
        "held": held,
        "variances": warehouse.scalar("select count(*) from ledger.variance"),
        "twice": warehouse.scalar(
            "select count(*) from (select comment, kind from ledger.document where not is_deleted"
            " group by 1, 2 having count(*) > 1) d"
        ),
    }


def _print(figures: Mapping[str, Any]) -> None:
    deals, total = figures["won"]
    held, held_sum, reasons, reason = figures["held"]
    CONSOLE.print(f"  won deals               {deals:>6,}   {show.money(total):>16}")
    for name in ("invoices", "realizations"):
        count, amount = figures[name]
        label = "invoices" if name == "invoices" else "realizations, posted"
        CONSOLE.print(f"  {label:<23} {count:>6,}   {show.money(amount):>16}")
    CONSOLE.print(f"  held                    {held:>6,}   {show.money(held_sum):>16}   reasons: {reasons}")
    if reason:
        CONSOLE.print(f"    {reason}", style="dim")
    CONSOLE.print(f"  variances {figures['variances']}, documents there twice {figures['twice']}\n")
