"""The rules of mapping files as tables of `ops`, so that SQL can join them; and every version kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from psycopg import Connection, sql

from mappings.folder import Mappings, System

COLUMNS: dict[str, tuple[str, ...]] = {
    "ops.stage_rule": (
        "system", "position", "pipeline_code", "stage_code", "outcome", "documents", "due_days", "ignore",
        "why", "valid_from", "valid_to", "place",
    ),
    "ops.product_alias": ("system", "name_key", "name", "is_name", "valid_from", "valid_to", "place"),
    "ops.unit_rule": ("system", "name", "code", "place"),
    "ops.vat_rule": ("system", "rate", "value", "valid_from", "valid_to", "place"),
    "ops.currency_rule": ("system", "code", "value", "place"),
    "ops.policy": ("system", "kind", "state", "field", "action", "place"),
    "ops.setting": ("system", "name", "value"),
}  # fmt: skip


def write_rules(conn: Connection[Any], mappings: Mappings) -> list[str]:
    """Bring the rule tables to what the files say, in the caller's transaction.

    Returns the names of the tables that changed; each gets a row (table, '*') in ops.change_log, so that
    what depends on it is made anew. Unchanged tables are left alone. New versions of files are kept in
    ops.mapping_version, without their `connection`.
    """
    changed = []
    for table, rows in rule_rows(mappings).items():
        if _replace(conn, table, rows):
            changed.append(table)
            conn.execute("insert into ops.change_log (table_name, key) values (%s, '*')", [table])
    for system in mappings.systems:
        added = conn.execute(
            """
            insert into ops.mapping_version (system, fingerprint, content)
            select %(system)s, %(fingerprint)s, %(content)s
            where %(fingerprint)s is distinct from (
                select fingerprint from ops.mapping_version where system = %(system)s
                order by mapping_version_id desc limit 1)
            """,
            {"system": system.name, "fingerprint": system.fingerprint, "content": system.source.kept()},
        )
        if added.rowcount:
            conn.execute("insert into ops.change_log (table_name, key) values ('ops.mapping_version', '*')")
    return changed


def rule_rows(mappings: Mappings) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every rule table, in the order of COLUMNS."""
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
    for system in mappings.systems:
        rows["ops.stage_rule"] += _stages(system)
        rows["ops.product_alias"] += [
            (system.name, name_key(alias.name), alias.name, alias.is_, alias.from_, alias.to,
             system.place("products", "aliases", i))
            for i, alias in enumerate(system.file.products.aliases)
        ]  # fmt: skip
        rows["ops.unit_rule"] += [
            (system.name, name.lower(), unit.code, system.place("units", i))
            for i, unit in enumerate(system.file.units)
            for name in unit.name
        ]
        rows["ops.vat_rule"] += [
            (system.name, vat.rate, vat.value, vat.from_, vat.to, system.place("vat", i))
            for i, vat in enumerate(system.file.vat)
        ]
        rows["ops.currency_rule"] += [
            (system.name, currency.code, currency.value, system.place("currencies", i))
            for i, currency in enumerate(system.file.currencies)
        ]
        rows["ops.policy"] += [
            (system.name, kind, state, field, action, system.place("write", kind, "policy", state, field))
            for kind, rule in system.file.write.items()
            for state, actions in rule.policy.items()
            for field, action in actions.items()
        ]
        rows["ops.setting"] += [(system.name, name, _json(value)) for name, value in settings(system).items()]
    return rows


def settings(system: System) -> dict[str, Any]:
    """What the graph's SQL may ask of a system, by name."""
    file = system.file
    found: dict[str, Any] = {
        "role": file.role,
        "title": file.title,
        "owner": file.owner,
        "country": file.country,
        "timezone": file.timezone,
        "tax_numbers_demanded_for": list(file.tax_numbers.demanded_for),
        "create_products": file.products.create,
        "match_products_by": list(file.products.match),
    }
    if file.role == "crm":
        found |= {f"amounts_{name}": value for name, value in file.amounts.model_dump().items()}
        found["price_types"] = [pair.model_dump(by_alias=True) for pair in file.prices]
        found["activity_entities"] = list(system.entities_of("core.activity"))
        found["client_trust"] = file.clients.trust.model_dump(by_alias=True, exclude_none=True)
        found["client_complete"] = list(file.clients.complete)
    if file.role == "accounting":
        found |= file.money.model_dump()
        found["rounding_up_to"] = file.reconcile.rounding_up_to
        found["settlement_accounts"] = list(file.reconcile.settlement_accounts)
        found["cost_accounts"] = list(file.reconcile.cost_accounts)
        found["gate_max_held_share"] = file.gate.max_held_share
        found["gate_min_batch"] = file.gate.min_batch
        found |= {f"default_{name}": value for name, value in file.defaults.model_dump().items()}
        found |= file.goods.settings()
        found |= file.sales.settings()
        found |= file.buyers.settings()
        found["accounting_system"] = system.name
        found["currency"] = file.currency
        found["price_entities"] = list(system.entities_of("core.accounting_price"))
        if file.organization is not None:
            found["organization_tax_number"] = file.organization.tax_number
        found["expects"] = list(file.expects)
        found["kinds"] = sorted({*file.write, *file.expects})
        found |= {f"post_{kind}": rule.post is True for kind, rule in file.write.items()}
        found |= {
            f"posted_at_once_{kind}": True for kind, rule in file.write.items() if rule.post == "at_once"
        }
        found |= {f"owner_{kind}": dict(rule.owner) for kind, rule in file.write.items() if rule.owner}
        found |= {
            f"undone_{kind}": rule.undone.model_dump()
            for kind, rule in file.write.items()
            if "undone" in rule.model_fields_set
        }
    return {name: value for name, value in found.items() if value is not None}


def name_key(name: str) -> str:
    """A product's name for comparing, as documents.document_line compares it."""
    return name.strip(" ").lower()


def _stages(system: System) -> list[tuple[Any, ...]]:
    """A rule with several pipelines or stages is several rows of one place; null stands for any."""
    rows: list[tuple[Any, ...]] = []
    for i, rule in enumerate(system.file.stages):
        for pipeline in rule.pipeline:
            for stage in rule.stage:
                rows.append(
                    (system.name, len(rows) + 1, None if pipeline == "*" else pipeline,
                     None if stage == "*" else stage, rule.outcome, list(rule.documents), rule.due_days,
                     rule.ignore, rule.why, rule.from_, rule.to, system.place("stages", i))
                )  # fmt: skip
    return rows


def _json(value: Any) -> str:
    """Numbers with a point stay decimals: 0.5, not a float."""
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def _replace(conn: Connection[Any], table: str, rows: Sequence[tuple[Any, ...]]) -> bool:
    names = COLUMNS[table]
    name = sql.Identifier(*table.split("."))
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    conn.execute("drop table if exists pg_temp.rules_fresh")
    conn.execute(
        sql.SQL("create temporary table rules_fresh on commit drop as select {} from {} where false").format(
            listed, name
        )
    )
    with (
        conn.cursor() as cursor,
        cursor.copy(sql.SQL("copy rules_fresh ({}) from stdin").format(listed)) as copy,
    ):
        for row in rows:
            copy.write_row(row)
    same = conn.execute(
        sql.SQL(
            "select not exists (select {0} from rules_fresh except all select {0} from {1})"
            " and not exists (select {0} from {1} except all select {0} from rules_fresh)"
        ).format(listed, name)
    ).fetchone()
    if same is not None and same[0]:
        return False
    conn.execute(sql.SQL("delete from {}").format(name))
    conn.execute(sql.SQL("insert into {0} ({1}) select {1} from rules_fresh").format(name, listed))
    return True
