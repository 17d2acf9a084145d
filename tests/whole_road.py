"""The whole road over a running sandbox, by plain functions in this process, and what 1C holds in the end.

What accounting holds is read here over OData by itself, without our connector: a misreading there must show.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from pipelines import checks, laws, sync
from pipelines.company import company_mappings
from pipelines.feedback.write import write_back
from pipelines.operations.carried import Carried
from pipelines.operations.plan import Planned
from pipelines.raw.load import Batch
from pipelines.sync import CATALOGUES, Road
from pipelines.table import stage_tables
from resources.warehouse import Warehouse
from tests.laws.quick import quick_gate
from tests.sandbox_process import Running, running

DEMO = Path(__file__).parents[1] / "mappings" / "demo"
SALES = {"invoice": "Document_СчетНаОплатуПокупателю", "realization": "Document_РеализацияТоваровУслуг"}
COUNTERPARTIES, PRODUCTS = "Catalog_Контрагенты", "Catalog_Номенклатура"
CHECKS = {
    "stage_without_rule": {"stage_has_rule"},
    "client_missing": {"client_named"},
    "requisite_ambiguous": {"counterparty_chosen"},
    "lines_missing": {"has_lines"},
    "product_unknown": {"product_resolved"},
    "amount_mismatch": {"amount_equals_lines", "line_amount_computes"},  # a sheet has no sum of the deal
    "inn_missing": {"tax_number_given"},
    "inn_checksum": {"tax_number_valid"},
}
"""Reasons of the truth by the checks of which one must hold the deal."""


@dataclass
class Synced:
    """What one sync did, stage by stage."""

    batches: list[Batch] = field(default_factory=list)
    planned: Planned = field(default_factory=Planned)
    carried: Carried = field(default_factory=Carried)
    written_back: list[str] = field(default_factory=list)
    laws: list[laws.Law] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """Sentences that the sources' errors were told in, each once, in order."""
        return list(dict.fromkeys(batch.error for batch in self.batches if batch.error))


@dataclass
class Company:
    """A sandbox, a warehouse and a drop folder that belong together."""

    sandbox: Running
    warehouse: Warehouse
    drop: Path

    @contextmanager
    def road(self, run_id: str = "") -> Iterator[Road]:
        """The road with its schema and rules up to date; connections end with it."""
        road = Road(self.warehouse, company_mappings(), run_id)
        with self.warehouse.kept(), closing(road):
            sync.prepare(road)
            yield road

    def sync(self, *only: str, **how: bool) -> Synced:
        """What the `sync` job does, without Dagster around it."""
        with self.road() as road:
            return sync_road(road, only, **how)

    def documents(self, kind: str) -> list[dict[str, Any]]:
        """Living documents of a kind in 1C, whole, as the accountant sees them."""
        return [row for row in self.odata(SALES[kind]) if not row["DeletionMark"]]

    def ours(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Living documents that carry a deal, by deal (`bitrix24:117`) and kind."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for kind in SALES:
            for row in self.documents(kind):
                if row["Комментарий"].startswith("crm:"):
                    found.setdefault((row["Комментарий"].removeprefix("crm:"), kind), []).append(row)
        return found

    def odata(self, name: str) -> list[dict[str, Any]]:
        onec = self.sandbox.info["onec"]
        answer = self.sandbox.http.get(
            f"{onec['odata']}{name}",
            params={"$format": "json"},
            auth=(onec["user"], onec["password"]),
            timeout=120,
        )
        answer.raise_for_status()
        rows: list[dict[str, Any]] = msgspec.json.Decoder(float_hook=Decimal).decode(answer.content)["value"]
        return rows

    def states(self) -> dict[str, int]:
        """Operations by state."""
        return dict(self.warehouse.rows("select state, count(*) from ops.operation group by state"))

    def held(self) -> dict[str, dict[str, str]]:
        """Deals held: by check the reason that a person reads."""
        found: dict[str, dict[str, str]] = {}
        for deal, check, reason in self.warehouse.rows(
            "select deal_id, check_name, reason from documents.held"
        ):
            found.setdefault(deal, {})[check] = reason
        return found


@contextmanager
def company(warehouse: Warehouse, folder: Path, *arguments: str, files: bool = True) -> Iterator[Company]:
    """A sandbox with its state in `folder`, the environment pointing to it, and perhaps the branch's files."""
    drop = folder / "drop"
    drop.mkdir(parents=True, exist_ok=True)
    with running(*arguments, state=folder / "sandbox") as sandbox, environment(addresses(sandbox, drop)):
        found = Company(sandbox, warehouse, drop)
        if files:
            sandbox.control("files", {"folder": str(drop)})
            rest(drop)
        yield found


def addresses(sandbox: Running, drop: Path) -> dict[str, str]:
    """What the demo company's mapping files ask of the environment."""
    onec = sandbox.info["onec"]
    return {
        "SVERKA_MAPPINGS": str(DEMO),
        "SVERKA_BITRIX24_URL": sandbox.info["bitrix24"]["webhook"],
        "SVERKA_ONEC_URL": onec["odata"],
        "SVERKA_ONEC_USER": onec["user"],
        "SVERKA_ONEC_PASSWORD": onec["password"],
        "SVERKA_ONEC_ALLOW_HTTP": "1",
        "SVERKA_DROP_FOLDER": str(drop),
    }


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """These variables while the block runs; None takes one away."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _set(values)
        yield
    finally:
        _set(before)


def rest(folder: Path, seconds: float = 60.0) -> None:
    """Let the files have been dropped a while ago: a file that was changed just now may still grow."""
    for path in folder.iterdir():
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def sync_road(road: Road, only: Collection[str] = (), **how: bool) -> Synced:
    """Read, refresh, gate, plan, carry, read again, reconcile, write back: the order of the sync job.

    The gate asks its suites in SQL, which `test_end_to_end` shows to say what Great Expectations says.
    `only` reads these CRMs alone and ends with the carrying: for tests to which the rest adds nothing.
    """
    done = Synced()
    accounting = road.accounting
    for system in road.mappings.systems:
        if system.role == "crm" and (not only or system.name in only):
            done.batches += sync.read(road, system, system.entities, **how)
    entities = list(accounting.entities)
    if not only:
        done.batches += sync.read(road, accounting, [e for e in entities if e in CATALOGUES], **how)
    sync.refresh_stage(road, "core")
    with quick_gate():
        checks.gated_documents(road, [table.name for table in stage_tables("documents")], lambda _: None)
    done.planned = sync.plan_operations(road)
    done.carried = sync.carry_operations(road)
    if only:
        return done
    done.batches += sync.read(road, accounting, [e for e in entities if e not in CATALOGUES], **how)
    sync.refresh_stage(road, "ledger")
    done.laws = laws.check(road.warehouse)
    sync.refresh_stage(road, "feedback")
    done.written_back = list(write_back(road))
    return done


def differences_from_truth(found: Company, *, first: bool = True, aliases: bool = False) -> list[str]:
    """How what 1C holds differs from what the sandbox knows to be true, a sentence each; none is right.

    `first`: no document was made before the present mistakes, so deals to be held have none at all.
    `aliases`: the mapping knows other spellings of products; else deals that use them are to be held.
    """
    truth = found.sandbox.control("truth")
    parties = {row["Ref_Key"]: row for row in found.odata(COUNTERPARTIES)}
    products = {row["Ref_Key"]: row for row in found.odata(PRODUCTS)}
    ours, held = found.ours(), found.held()
    deals = {f"bitrix24:{deal['bitrix24']}": deal for deal in truth["deals"].values()}
    deals |= {f"branch:{number}": deal for number, deal in truth["files"].get("deals", {}).items()}
    told = [
        f"{deal}: 1C has a {kind} of a deal that nobody knows" for deal, kind in ours if deal not in deals
    ]
    for name, deal in deals.items():
        documents = {kind: rows for kind in SALES if (rows := ours.get((name, kind)))}
        outcome, reason = deal["outcome"], deal["reason"]
        if outcome == "load" and "product_alias" in deal["dirt"] and not aliases and not documents:
            outcome, reason = "hold", "product_unknown"  # a spelling that differs in case alone is known
        if outcome == "load" and name in held:
            told.append(f"{name}: is held, but is to load: {held[name]} (dirt {deal['dirt']})")
        elif outcome == "load":
            told += [f"{name}: {said}" for said in _faults(deal, documents, parties, products)]
        elif documents and (first or outcome in ("none", "ignore")):
            told.append(f"{name}: is to be {outcome} ({reason}), but 1C has {sorted(documents)}")
        elif outcome == "hold" and not CHECKS[reason] & set(held.get(name, ())):
            told.append(f"{name}: is to be held for {reason}, is held for {sorted(held.get(name, ()))}")
        elif outcome != "hold" and name in held:
            told.append(f"{name}: is to be {outcome}, but is held: {held[name]}")
    return told


def _faults(
    deal: Mapping[str, Any],
    documents: Mapping[str, list[dict[str, Any]]],
    parties: Mapping[str, Mapping[str, Any]],
    products: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    if sorted(documents) != sorted(deal["documents"]):
        yield f"{sorted(deal['documents'])} are due, 1C has {sorted(documents)} (dirt {deal['dirt']})"
    for kind, rows in documents.items():
        row = rows[0]
        if len(rows) != 1:
            yield f"{len(rows)} documents {kind}"
        if kind == "realization" and not row["Posted"]:
            yield "the realization is not posted"
        if Decimal(row["СуммаДокумента"]) != Decimal(deal["total"]):
            yield f"{kind} of {row['СуммаДокумента']}, {deal['total']} is due (dirt {deal['dirt']})"
        party, meant = parties[row["Контрагент_Key"]], deal["counterparty"]
        if (party["ИНН"], party["КПП"]) != (meant["inn"], meant["kpp"]):
            yield f"{kind} of {party['ИНН']}/{party['КПП']}, {meant['inn']}/{meant['kpp']} is right"
        there = sorted(_line(line, products) for line in [*row.get("Товары", []), *row.get("Услуги", [])])
        due = sorted(
            (line["code"], Decimal(line["quantity"]), Decimal(line["gross"]), Decimal(line["vat"]))
            for line in deal["lines"]
        )
        if there != due:
            yield f"{kind} has lines {there}, due are {due}"


def _line(
    line: Mapping[str, Any], products: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Decimal, Decimal, Decimal]:
    code = products[line["Номенклатура_Key"]]["Артикул"]
    return code, Decimal(line["Количество"]), Decimal(line["Сумма"]), Decimal(line["СуммаНДС"])


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
