"""What `core` must say of a CRM, by what its stand-in truly holds; and how the two are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pipelines.core.cleaning import clean
from resources.warehouse import Warehouse

KOPECK = Decimal("0.01")
ACTIVITIES = ("call", "letter", "meeting")
TEST_DEAL = "ТЕСТ"  # how the mapping files know deals that were made to try the CRM out


@dataclass(frozen=True)
class Truth:
    """The stand-in's own word: living records by entity and shown id, and who was merged into whom."""

    system: str
    entities: Mapping[str, Mapping[str, Mapping[str, Any]]]
    merged: Mapping[str, Mapping[str, str]]
    list_prices: bool  # a deal has each product once, at the price that the list has now

    def of(self, entity: str) -> Mapping[str, Mapping[str, Any]]:
        return self.entities.get(entity, {})

    def deals(self) -> Mapping[str, Mapping[str, Any]]:
        """Deals that are no trial ones."""
        return {key: deal for key, deal in self.of("deal").items() if not deal["title"].startswith(TEST_DEAL)}


def differences(warehouse: Warehouse, truth: Truth, *, lines_too: bool = True) -> list[str]:
    """Everything in which core differs from the truth, a sentence each."""
    return [
        *_deals(warehouse, truth),
        *(_lines(warehouse, truth) if lines_too else ()),
        *_clients(warehouse, truth),
        *addresses(warehouse, truth),
        *_contacts(warehouse, truth),
        *_products(warehouse, truth),
        *_employees(warehouse, truth),
        *_stages(warehouse, truth),
        *_activities(warehouse, truth),
    ]


def living(warehouse: Warehouse, system: str) -> dict[str, set[tuple[Any, ...]]]:
    """Every living row of core that came from a system, without stamps, by table: to compare two warehouses.

    Steps of deals are left out: who began to read later was told of fewer.
    """
    found: dict[str, set[tuple[Any, ...]]] = {}
    tables = warehouse.rows(
        "select table_name from information_schema.columns join information_schema.tables using (table_schema, table_name)"
        " where table_schema = 'core' and column_name = 'source' and table_type = 'BASE TABLE' and table_name <> 'deal_step'"
    )
    for (table,) in tables:
        columns = [
            name
            for (name,) in warehouse.rows(
                "select column_name from information_schema.columns where table_schema = 'core' and table_name = %s"
                " and column_name not in ('modified_at', 'merged_into', 'said_from', 'known_from') order by ordinal_position",
                [table],
            )
        ]
        lives = "and not is_deleted" * ("is_deleted" in columns)
        rows = warehouse.rows(
            f"select {', '.join(columns)} from core.{table} where source = %s {lives}", [system]
        )
        found[f"core.{table}"] = {tuple(map(_hashable, row)) for row in rows}
    return found


def _deals(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    rows = warehouse.rows(
        """
        select d.source_id, d.title, c.source_id, n.source_id, e.source_id, s.name, st.name, st.outcome,
               d.amount, d.currency, d.closed_on
        from core.deal d
        left join core.client_record c on c.client_record_id = d.client_record_id
        left join core.contact n on n.contact_id = d.contact_id
        left join core.employee e on e.employee_id = d.employee_id
        left join core.lead_source s on s.lead_source_id = d.lead_source_id
        left join core.stage st on st.source = d.source and st.pipeline_code = d.pipeline_code
          and st.stage_code = d.stage_code
        where d.source = %s and not d.is_deleted
        """,
        [truth.system],
    )
    found = {row[0]: row[1:] for row in rows}
    sources, stages = truth.of("source"), truth.of("stage")
    expected = {}
    for key, deal in truth.deals().items():
        stage = stages[deal["stage"]]
        _, client, contact, *_ = found.get(key, (None, None, None))
        expected[key] = (
            deal["title"], _reference(truth, "client", deal["client"], client),
            _reference(truth, "contact", deal["contact"], contact), deal["employee"],
            sources[deal["source"]]["name"] if deal["source"] else None, stage["name"], stage["outcome"],
            Decimal(deal["amount"]), deal["currency"],
        )  # fmt: skip
    yield from _compared("deal", expected, {key: row[:-1] for key, row in found.items()})
    for key, deal in truth.deals().items():
        if key in found and deal["closed_on"] and found[key][-1] != date.fromisoformat(deal["closed_on"]):
            yield f"deal {key}: closed on {deal['closed_on']}, core says {found[key][-1]}"


def _lines(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    expected: dict[str, Counter[tuple[Any, ...]]] = {}
    for deal, product, quantity, amount in sold(truth):
        expected.setdefault(deal, Counter())[product, quantity, amount] += 1
    rows = warehouse.rows(
        """
        select d.source_id, p.source_id, round(l.quantity, 3), l.amount from core.deal_line l
        join core.deal d on d.deal_id = l.deal_id and not d.is_deleted
        left join core.product p on p.product_id = l.product_id
        where l.source = %s and not l.is_deleted
        """,
        [truth.system],
    )
    found: dict[str, Counter[tuple[Any, ...]]] = {}
    for deal, product, quantity, amount in rows:
        found.setdefault(deal, Counter())[product, quantity, amount] += 1
    yield from _compared("lines of deal", expected, found)


def sold(truth: Truth) -> Iterable[tuple[str, str | None, Decimal, Decimal]]:
    """Deal, product, quantity and sum of every line."""
    deals, products = truth.deals(), truth.of("product")
    lines = [line for line in truth.of("line").values() if line["deal"] in deals]
    if not truth.list_prices:
        for line in lines:
            yield line["deal"], line["product"], _thousandths(line["quantity"]), amount_of(line)
        return
    sold: Counter[tuple[str, str]] = Counter()
    for line in lines:
        sold[line["deal"], line["product"]] += Decimal(line["quantity"])  # type: ignore[assignment]
    for (deal, product), quantity in sold.items():
        price = Decimal(products[product]["price"])
        yield deal, product, _thousandths(quantity), _kopecks(price * quantity)


def amount_of(line: Mapping[str, Any]) -> Decimal:
    """What a line costs with VAT, in the deal's currency, rounded half up as Russian accounting does."""
    unit = _kopecks(Decimal(line["price"]) * (100 - Decimal(line["discount"])) / 100)
    value = _kopecks(unit * Decimal(line["quantity"]))
    return value if line["vat_included"] else value + _kopecks(value * Decimal(line["vat_rate"]) / 100)


def _clients(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    rows = warehouse.rows(
        "select c.source_id, e.source_id, lower(c.email) from core.client_record c"
        " left join core.employee e on e.employee_id = c.employee_id where c.source = %s and not c.is_deleted",
        [truth.system],
    )
    expected = {
        key: (client["employee"], client["email"].lower()) for key, client in truth.of("client").items()
    }
    yield from _compared("client", expected, {key: row for key, *row in rows})
    merged = dict(
        warehouse.rows(
            "select source_id, split_part(merged_into, ':', 2) from core.client_record"
            " where source = %s and is_deleted and merged_into is not null",
            [truth.system],
        )
    )
    for lost, kept in truth.merged.get("client", {}).items():
        if lost in merged and merged[lost] != kept:
            yield f"client {lost}: merged into {kept}, core says {merged[lost]}"


def addresses(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    """Where clients are: what differs, a sentence each."""
    rows = warehouse.rows(
        "select source_id, city, address from core.client_record where source = %s and not is_deleted",
        [truth.system],
    )
    has_cities = any(city for _, city, _ in rows)  # some keep them in the line of the address only
    payers: dict[str, str] = {}
    for key in sorted(truth.of("requisite"), key=int):
        payer = truth.of("requisite")[key]
        payers.setdefault(payer["client"], payer["legal_address"])
    expected = {
        key: (client["city"] or None if has_cities else None, _line(client["address"] or payers.get(key, "")))
        for key, client in truth.of("client").items()
    }
    yield from _compared("address of client", expected, {key: row for key, *row in rows})


def _line(address: str) -> str | None:
    """An address as it stands in core: several lines are one."""
    return clean("address", [address])[0].value


def _contacts(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    rows = warehouse.rows(
        "select n.source_id, c.source_id, lower(n.email) from core.contact n"
        " left join core.client_record c on c.client_record_id = n.client_record_id where n.source = %s and not n.is_deleted",
        [truth.system],
    )
    found = {key: row for key, *row in rows}
    expected = {
        key: (
            _reference(truth, "client", contact["client"], found.get(key, (None,))[0]),
            contact["email"].lower(),
        )
        for key, contact in truth.of("contact").items()
    }
    yield from _compared("contact", expected, found)


def _products(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    rows = warehouse.rows(
        "select source_id, code, name, round(price, 2) from core.product where source = %s and not is_deleted",
        [truth.system],
    )
    expected = {
        key: (product["code"], product["name"], _kopecks(Decimal(product["price"])))
        for key, product in truth.of("product").items()
    }
    yield from _compared("product", expected, {key: row for key, *row in rows})


def _employees(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    rows = warehouse.rows(
        "select source_id, email from core.employee where source = %s and not is_deleted", [truth.system]
    )
    known = dict(rows)
    for key, employee in truth.of("employee").items():
        if known.get(key) != employee["email"]:
            yield f"employee {key}: {employee['email']}, core says {known.get(key)}"


def _stages(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    rows = warehouse.rows(
        "select name, outcome from core.stage where source = %s and not is_deleted", [truth.system]
    )
    expected = {(stage["name"], stage["outcome"]) for stage in truth.of("stage").values()}
    for name, outcome in sorted(expected - {(name, outcome) for name, outcome in rows}):
        yield f"stage {name} ({outcome}): core does not have it"


def _activities(warehouse: Warehouse, truth: Truth) -> Iterable[str]:
    """Calls, letters and meetings, by their ids; a CRM that does not say whether one is over leaves that empty."""
    if not any(kind in truth.entities for kind in ACTIVITIES):
        return  # compared elsewhere
    rows = warehouse.rows(
        "select a.source_id, a.kind, a.direction, e.source_id, d.source_id, a.happened_at, a.is_done from core.activity a"
        " left join core.employee e on e.employee_id = a.employee_id left join core.deal d on d.deal_id = a.deal_id"
        " where a.source = %s and not a.is_deleted and a.kind = any(%s)",
        [truth.system, list(ACTIVITIES)],
    )
    found = {key: row for key, *row in rows}
    deals = truth.deals()
    expected = {
        key: (
            kind, item.get("direction"), item["employee"], item["deal"] if item["deal"] in deals else None,
            datetime.fromisoformat(item["at"]), None if found.get(key, [None])[-1] is None else item["done"],
        )
        for kind in ACTIVITIES
        for key, item in truth.of(kind).items()
    }  # fmt: skip
    yield from _compared("activity", expected, found)


def _reference(truth: Truth, entity: str, key: str | None, found: str | None) -> str | None:
    """What core must hold of a reference: of one to a record that is gone some CRMs tell nothing any more."""
    return None if found is None and key not in truth.of(entity) else key


def _compared(
    what: str, expected: Mapping[str, Iterable[Any]], found: Mapping[str, Iterable[Any]]
) -> Iterable[str]:
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            yield f"{what} {key}: core does not have it"
        elif key not in expected:
            yield f"{what} {key}: core has it, and it is gone"
        elif _plain(expected[key]) != _plain(found[key]):
            yield f"{what} {key}: {_plain(expected[key])}, core says {_plain(found[key])}"


def _plain(value: Iterable[Any]) -> Any:
    return dict(value) if isinstance(value, Counter) else list(value)


def _kopecks(value: Decimal) -> Decimal:
    return value.quantize(KOPECK, rounding=ROUND_HALF_UP)


def _thousandths(value: Any) -> Decimal:
    return Decimal(value).quantize(Decimal("0.001"))


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
