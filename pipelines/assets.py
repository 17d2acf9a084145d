"""The road as Dagster assets: one step a stage and a system, one asset a table.

A step does in one process what its stage has to do; its tables show as assets of their own, with their
columns, lineage, row counts and money totals. The frequent sync thus pays for ten steps, not for seventy.
"""

# No `from __future__ import annotations` here: Dagster reads the steps' annotations as objects.
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from expectations import Suite, suites
from mappings import Mappings, System, mapping_document
from pipelines.deploy import Reads, upstream_tables
from pipelines.ledger.apart import DEBIT_EQUALS_CREDIT, EVERY_KOPECK_IS_EXPLAINED
from pipelines.table import Table, stage_tables

OPERATION = dg.AssetKey(["ops", "operation"])
READING = dg.AssetKey(["ops", "batch"])
MAPPING = dg.AssetKey(["ops", "mapping_version"])
REPORT = dg.AssetKey(["report", "pages"])
UP_TO_DATE = "is_up_to_date"  # the check of every raw table, by runs and by the sensor `sources_behind`


def asset_key(table_name: str) -> dg.AssetKey:
    """`core.deal` -> `core/deal`: one name in every place."""
    return dg.AssetKey(table_name.split(".", 1))


def raw_entities(reads: Mapping[str, Reads], system: System) -> list[str]:
    """Entities of a system that some mapping reads."""
    # By its own entities: raw.amocrm_north_deal begins as the tables of a system `amocrm` do.
    own = {f"raw.{system.name}_{entity}": entity for entity in system.entities}
    names = (s.raw_table for found in reads.values() for s in found.sources)
    return list(dict.fromkeys(own[name] for name in names if name in own))


def check_specs(table_names: Sequence[str]) -> list[dg.AssetCheckSpec]:
    """One asset check an expectation, named as in its suite."""
    found: list[dg.AssetCheckSpec] = []
    for name, suite in suites().items():
        if name in table_names:
            found += [
                dg.AssetCheckSpec(
                    expectation.name,
                    asset=asset_key(name),
                    description=expectation.description,
                    metadata={"expectation": expectation.type, "severity": expectation.severity},
                )
                for expectation in suite.expectations
            ]
    return found


def table_spec(table: Table, reads: Mapping[str, Reads], more: Sequence[dg.AssetKey] = ()) -> dg.AssetSpec:
    """The asset of a table, described from its file."""
    names = upstream_tables(table, reads)
    upstream = [asset_key(name) for name in names if not name.startswith("ops.")]
    if any(name.startswith("ops.") and name.endswith(("_rule", "_alias", "setting")) for name in names):
        upstream.append(MAPPING)
    return dg.AssetSpec(
        asset_key(table.name),
        deps=[key for key in dict.fromkeys([*upstream, *more]) if key != asset_key(table.name)],
        description=table.description,
        group_name=table.stage,
        owners=[f"team:{table.owner}"],
        kinds={"postgres", "view"} if table.is_view else {"postgres", "table"},
        metadata={
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(
                        c.name,
                        c.type,
                        description=c.comment,
                        constraints=dg.TableColumnConstraints(nullable=c.nullable),
                    )
                    for c in table.columns
                ]
            ),
            "dagster/relation_identifier": table.name,
            "file": dg.MetadataValue.text(f"pipelines/{table.stage}/{table.path.name}"),
        },
    )


def mapping_spec(mappings: Mappings) -> dg.AssetSpec:
    """The mapping files as an asset: its description is the document that accountants sign."""
    return dg.AssetSpec(
        MAPPING,
        description=mapping_document(mappings, "en"),
        group_name="documents",
        owners=["team:accountants"],
        kinds={"yaml"},
        metadata={
            "in Russian": dg.MetadataValue.md(mapping_document(mappings, "ru")),
            "fingerprint": mappings.fingerprint,
            "folder": mappings.folder.name,
        },
    )


def raw_spec(system: System, entity: str, deps: Sequence[dg.AssetKey] = ()) -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey(["raw", f"{system.name}_{entity}"]),
        deps=list(deps),
        description=f"What {system.title} said of every {entity.replace('_', ' ')}, unchanged: all versions.",
        group_name="raw",
        owners=[f"team:{system.owner}"],
        kinds={"postgres", "table", system.connector},
        metadata={"dagster/relation_identifier": f"raw.{system.name}_{entity}"},
    )


class ReadConfig(dg.Config):
    """How to read: nothing set is an ordinary sync."""

    full: bool = False
    rescan: bool = False
    sweep: bool = False
    allow_deletions: bool = False


def reading_step(
    name: str, system: System, entities: Sequence[str], deps: Sequence[dg.AssetKey] = ()
) -> dg.AssetsDefinition:
    """The step that reads a system's changes into its raw tables."""
    specs = [raw_spec(system, entity, deps) for entity in entities]
    checks = [
        dg.AssetCheckSpec(
            UP_TO_DATE,
            asset=spec.key,
            description=f"{system.title} answered the last reading, and is not read later than it may be.",
        )
        for spec in specs
    ]

    @dg.multi_asset(
        name=name,
        specs=specs,
        check_specs=checks,
        can_subset=True,
        pool=system.name,
        description=f"Reads what changed in {system.title}.",
    )
    def step(context: dg.AssetExecutionContext, config: ReadConfig) -> Iterator[Any]:
        from pipelines import stages

        wanted = [key.path[-1].removeprefix(f"{system.name}_") for key in context.selected_asset_keys]
        yield from stages.read_raw(context, system.name, wanted, config.model_dump())

    return step


def stage_step(
    stage: str, tables: Sequence[Table], reads: Mapping[str, Reads], more: Sequence[dg.AssetKey] = ()
) -> dg.AssetsDefinition:
    """The step that brings a stage's tables up to date and checks what changed in them."""
    names = [table.name for table in tables]

    @dg.multi_asset(
        name=stage,
        specs=[table_spec(table, reads, more) for table in tables],
        check_specs=check_specs(names) + _law_specs(stage),
        can_subset=True,
        description=f"Brings the tables of {stage} up to date with what changed.",
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from pipelines import stages

        yield from stages.refresh_stage(context, stage)

    return step


def _law_specs(stage: str) -> list[dg.AssetCheckSpec]:
    if stage != "ledger":
        return []
    return [
        dg.AssetCheckSpec(
            EVERY_KOPECK_IS_EXPLAINED,
            asset=dg.AssetKey(["ledger", "settlement"]),
            blocking=True,
            description="Expected minus actual equals the sum of the variances, for each counterparty and in all.",
        ),
        dg.AssetCheckSpec(
            DEBIT_EQUALS_CREDIT,
            asset=dg.AssetKey(["ledger", "entry"]),
            blocking=True,
            description="Every document debits what it credits, and opening plus turnover is the balance that accounting reports.",
        ),
    ]


class CarryConfig(dg.Config):
    """What to carry: nothing set is what is due and was never refused."""

    refused_too: bool = False


def operation_step(accounting: System, documents: Sequence[Table]) -> dg.AssetsDefinition:
    @dg.asset(
        key=OPERATION,
        deps=[asset_key(table.name) for table in documents],
        group_name="documents",
        owners=["team:data-team"],
        kinds={"postgres", accounting.connector},
        pool=accounting.name,
        description="The operation ledger: every intended write to an outside system, and what became of it.",
    )
    def operation(context: dg.AssetExecutionContext, config: CarryConfig) -> dg.MaterializeResult[Any]:
        from pipelines import stages

        return stages.carry_documents(context, refused_too=config.refused_too)

    return operation


def batch_step(systems: Sequence[System], deps: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The last step: whether every system answered, and everything received is accounted for."""
    checks = [
        dg.AssetCheckSpec(
            f"{system.name}_is_accounted_for",
            asset=READING,
            description=f"{system.title} answered; every record received was added, changed, unchanged or set apart.",
        )
        for system in systems
    ]

    @dg.asset(
        key=READING,
        deps=list(deps),
        group_name="feedback",
        owners=["team:data-team"],
        kinds={"postgres"},
        description="Every reading of every source. One that did not answer is told here, and holds no other.",
        check_specs=checks,
    )
    def batch(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from pipelines import stages

        yield from stages.conclude(context, [system.name for system in systems])

    return batch


def feedback_step(
    tables: Sequence[Table], reads: Mapping[str, Reads], systems: Sequence[System]
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="feedback",
        specs=[table_spec(table, reads) for table in tables],
        check_specs=check_specs([table.name for table in tables]),
        can_subset=True,
        pool=systems[0].name if systems else None,
        description="Writes payment, shipment and debt back to the CRM, through the operation ledger.",
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from pipelines import stages

        yield from stages.write_back(context)

    return step


def report_step() -> dg.AssetsDefinition:
    """The pages that people look at, made of the marts that they read."""
    from pipelines.report.sections import SECTIONS

    marts = {mart for section in SECTIONS for block in section.blocks for mart in block.marts}

    @dg.asset(
        key=REPORT,
        deps=[asset_key(table.name) for table in stage_tables("marts") if table.short_name in marts],
        group_name="report",
        owners=["team:analysts"],
        kinds={"html"},
        description="The report in Russian and English: pages in the folder `report` of the home, with pictures and evidence.",
    )
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from pipelines.report.step import write_report

        return write_report(context)

    return report


def all_assets(mappings: Mappings, reads: Mapping[str, Reads]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Every step of the road, in its order, and the mapping files."""
    from pipelines.sync import CATALOGUES

    accounting = mappings.accounting()
    crms = [system for system in mappings.systems if system.role == "crm"]
    steps: list[dg.AssetsDefinition | dg.AssetSpec] = [mapping_spec(mappings)]
    steps += [reading_step(f"read_{s.name}", s, raw_entities(reads, s)) for s in crms]
    entities = raw_entities(reads, accounting)
    steps.append(
        reading_step(
            f"read_{accounting.name}_catalogues", accounting, [e for e in entities if e in CATALOGUES]
        )
    )
    documents = stage_tables("documents")
    steps.append(stage_step("core", stage_tables("core"), reads))
    steps.append(stage_step("documents", documents, reads))
    steps.append(operation_step(accounting, documents))
    steps.append(
        reading_step(
            f"read_{accounting.name}_documents",
            accounting,
            [e for e in entities if e not in CATALOGUES],
            [OPERATION],
        )
    )
    steps.append(stage_step("ledger", stage_tables("ledger"), reads))
    steps.append(stage_step("marts", stage_tables("marts"), reads))
    steps.append(report_step())
    feedback = stage_tables("feedback")
    writable = [system for system in crms if system.feedback]
    steps.append(feedback_step(feedback, reads, writable))
    steps.append(batch_step(mappings.systems, [asset_key(table.name) for table in feedback]))
    return steps


def quality_checks() -> dg.AssetSelection:
    """Checks of whole tables that hold nothing back: the night runs them, not every sync."""
    from pipelines.documents.gate import GATED

    return dg.AssetSelection.checks(
        *(
            dg.AssetCheckKey(asset_key(name), expectation.name)
            for name, suite in suites().items()
            if name not in GATED
            for expectation in suite.expectations
        )
    )


__all__ = ["Suite", "all_assets", "asset_key", "check_specs", "raw_entities"]
