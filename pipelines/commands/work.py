"""The everyday verbs: sync, plan, status, reconcile, rebuild, hold, sources check, mappings."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from mappings import System
from pipelines.commands import show
from pipelines.commands.session import (
    CONSOLE,
    database,
    need_sandbox,
    recall_sandbox,
    road,
    sandbox_trouble,
    writing,
)
from pipelines.company import company_mappings, mappings_folder
from pipelines.operations.desired import lacking
from pipelines.operations.release import release
from pipelines.operations.told import told_in
from pipelines.raw.stumbles import Stumbled, stumbles
from pipelines.shapes import missing, unreadable
from pipelines.signals import called
from pipelines.sync import Road, read_shape
from resources.connector import Finding
from resources.language import Language
from resources.warehouse import Warehouse, home_folder


def sync(*, full: bool, sweep: bool, allow_deletions: bool) -> int:
    from pipelines.commands.run import STOPPED, run_job

    with called(STOPPED), database() as warehouse:
        need_sandbox()
        how = {"full": full, "sweep": sweep, "allow_deletions": allow_deletions}
        config = _read_config(how) if any(how.values()) else None
        ran = run_job("sync", config=config)
        CONSOLE.print(f"{'done' if ran.success else 'failed'} in {ran.seconds:.1f} s")
        return 0 if ran.success and _all_was_read(warehouse, ran.run_id) else 1


def _all_was_read(warehouse: Warehouse, run_id: str, language: Language = "en") -> bool:
    """Whether every source answered the run; says which did not. Their data stay as they were."""
    unread = [
        system
        for (system,) in warehouse.rows(
            "select distinct source from ops.batch where run_id = %s and status <> 'loaded' order by 1",
            [run_id],
        )
    ]
    if unread:
        told = ", ".join(unread)
        CONSOLE.print(
            f"not everything was read: {told} stays as it was (`sverka status`)"
            if language == "en"
            else f"прочитано не всё: {told} остаётся как было (`sverka status --language ru`)",
            style="red",
        )
    return not unread


def _read_config(values: dict[str, bool]) -> dict[str, object]:
    mappings = company_mappings()
    accounting = mappings.accounting().name
    steps = [f"read_{s.name}" for s in mappings.systems if s.role == "crm"]
    steps += [f"read_{accounting}_catalogues", f"read_{accounting}_documents"]
    return {"ops": {step: {"config": values} for step in steps}}


def plan(
    *, approved_by: str | None, whole: bool = False, language: Language = "en", as_json: bool = False
) -> int:
    """Read what changed and show what the next sync would write. Nothing is sent. `approved_by`: it may be."""
    from pipelines import checks, freshness, sync
    from pipelines.commands.plan import approve_plan, show_plan
    from pipelines.table import stage_tables

    unread: list[str] = []
    with road("plan") as found:
        need_sandbox()
        for system in found.mappings.systems:
            wanted = system.entities if system.role == "crm" else sync.catalogue_entities(found)
            unread += [batch.error for batch in freshness.read(found, system, wanted) if batch.error]
        for error in [] if as_json else dict.fromkeys(unread):
            CONSOLE.print(error, style="red", markup=False)
        sync.refresh_stage(found, "core")
        names = [t.name for t in stage_tables("documents")]
        checks.gated_documents(found, names, lambda _: None)
        sync.plan_operations(found)
        shown = show_plan(
            found,
            whole=whole or approved_by is not None,
            language=language,
            as_json=as_json,
            unread=list(dict.fromkeys(unread)),
        )
        if approved_by is not None:
            approve_plan(found, shown, approved_by, language=language)
    if unread and not as_json:
        CONSOLE.print("Not everything could be read: this is the plan for what was read before.", style="red")
    return 1 if unread else 0


def status(language: Language) -> int:
    from pipelines.commands.operations import show_breakers, show_edits

    with road() as found:
        show_breakers(found.warehouse, language)
        show.status(found.warehouse, found.mappings, language=language)
        show_edits(found.warehouse, language)
    return 0


def reconcile(language: Language = "en") -> int:
    from pipelines.commands.run import run_job

    with database() as warehouse:
        need_sandbox()
        ran = run_job("reconcile")
        held = show.reconciliation(warehouse, language=language)
        return 0 if _all_was_read(warehouse, ran.run_id, language) and ran.success and held else 1


def rebuild() -> int:
    from pipelines import sync

    with (
        road("rebuild") as found,
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            console=CONSOLE,
            transient=True,
            disable=not CONSOLE.is_terminal,
        ) as progress,
    ):
        task = progress.add_task("rebuilding")
        outcomes = sync.rebuild(found, lambda name: progress.update(task, description=f"rebuilding {name}"))
    changed = [o for o in outcomes if not o.quiet]
    for outcome in changed:
        CONSOLE.print(f"{outcome.table}: {outcome.written} rows written, {outcome.removed} removed")
    CONSOLE.print(
        f"{len(outcomes)} tables rebuilt, {len(changed)} of them came out otherwise than they stood"
    )
    return 1 if changed else 0


def hold_list(language: Language) -> int:
    with road() as found:
        show.held(found.warehouse, language=language)
        show.waiting(found.warehouse, language=language)
        show.lacking(found.warehouse, language=language)
    return 0


def hold_release(deal: str, by: str, reason: str, check: str, language: Language = "en") -> int:
    """Let a deal pass the checks that hold it now, and try again what accounting refused of it."""
    with road() as found:
        with found.warehouse.transaction() as conn:
            told = release(conn, found.accounting, deal, by, reason, check)
        CONSOLE.print(escape(told_in(told.sentence, language)), style=None if told.done else "red")
    return 0 if told.done else 1


def sources_check(name: str) -> int:
    with road() as found:
        names = [s.name for s in found.mappings.systems]
        if name and name not in names:
            CONSOLE.print(f"no system {name!r}; there are {', '.join(names)}", style="red")
            return 2
        good = True
        for system in found.mappings.systems:
            if name in ("", system.name):
                CONSOLE.print(f"[bold]{system.name}[/]  {escape(system.title)}")
                if system.undefined:
                    good = False
                    for problem in system.undefined:
                        CONSOLE.print(f"  [red]fails[/]  connection: {escape(str(problem))}")
                    continue
                try:
                    findings = _findings(found, system)
                except Stumbled as stumbled:
                    findings = [Finding("connection", False, str(stumbled))]
                for finding in findings:
                    mark = "[green]works[/]" if finding.ok else "[red]fails[/]"
                    CONSOLE.print(f"  {mark}  {escape(f'{finding.subject}: {finding.message}')}")
                    if finding.remedy:
                        CONSOLE.print(f"         {finding.remedy}", style="dim", markup=False)
                    good = good and finding.ok
                if system.role == "accounting":
                    read_shape(found, at_once=True)
                for lack in _lacking(found, system):
                    good = False
                    CONSOLE.print(f"  [red]fails[/]  mapping: {escape(lack)}")
        if not good and (sentence := sandbox_trouble()) is not None:
            CONSOLE.print(sentence, style="red", markup=False)
    return 0 if good else 1


def _findings(road: Road, system: System) -> list[Finding]:
    source = road.source(system)
    with stumbles(
        system.name,
        f"check that the address in `connection` of {system.source.name} is the system's own, and that no proxy"
        " answers in its place",
        logged=False,
    ):
        return source.check()


def _lacking(road: Road, system: System) -> list[str]:
    """Accounts, warehouses and fields that the mapping names and accounting, as last read, does not have."""
    if (
        system.role != "accounting"
        or road.warehouse.scalar("select to_regclass('core.accounting_account')") is None
    ):
        return []
    if not road.warehouse.scalar("select exists (select from core.accounting_account)"):
        return []
    with road.warehouse.transaction() as conn:
        found = [look(conn, system, kind) for kind in system.write for look in (lacking, missing)]
        found += unreadable(conn, system).values()
    return list(dict.fromkeys(sentence for sentence in found if sentence))


def mappings_docs(language: Language, output: Path | None) -> int:
    from mappings import mapping_document

    recall_sandbox(home_folder())
    found = company_mappings()
    text = mapping_document(found, language)
    if output is None:
        CONSOLE.print(text, markup=False, soft_wrap=True)
    else:
        with writing(output) as file:
            file.write(text)
        CONSOLE.print(f"written to {output}")
    return 0


def mappings_check() -> int:
    recall_sandbox(home_folder())
    found = company_mappings()
    CONSOLE.print(
        f"{len(found.systems)} mapping files of {mappings_folder().name} are right: {found.fingerprint}"
    )
    for problem in found.unset():
        CONSOLE.print(f"  [yellow]warning[/]  {escape(str(problem))}")
    return 0
