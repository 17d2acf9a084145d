"""What follows a document of ours in 1C, asked for right before a correction or a return of ours leaves."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from mappings import load
from pipelines import checks, sync
from pipelines.operations.revisions import undo
from pipelines.sync import Road
from pipelines.table import stage_tables
from resources.accounting.onec.profile import PROFILES, Profile
from resources.connector import Refused, ShowsFollowers
from resources.warehouse import Warehouse
from tests.chaos.targets import MARKED, READY, write_mappings
from tests.laws.quick import quick_gate
from tests.onec.base import answer, asked, base, key_of, refusal
from tests.whole_road import Company, addresses, company, environment, sync_road

SALE = "Document_РеализацияТоваровУслуг"
RETURN, CORRECTION = "Document_ВозвратТоваровОтПокупателя", "Document_КорректировкаРеализации"


def paths_of(name: str, folder: Path) -> Any:
    """The base paths of a ready mapping file, its marks taken off."""
    text = MARKED.sub("", (READY / f"{name}.yaml").read_text(encoding="utf-8"))
    folder.mkdir()
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    given = dict.fromkeys(
        (f"SVERKA_ONEC_{part}" for part in ("URL", "USER", "PASSWORD")), "https://1c.example/"
    )
    return load(folder, given).accounting().base_paths()


def row(number: int, field: str, of: str, **more: Any) -> dict[str, Any]:
    named = {field: of, f"{field}_Type": f"StandardODATA.{SALE}"}
    return {"Ref_Key": key_of(number), "Posted": True, "DeletionMark": False, **named, **more}


@pytest.mark.parametrize(
    ("mapping", "profile", "fields"),
    [
        ("onec", "accounting_3", {RETURN: "Сделка", CORRECTION: "ДокументРеализации"}),
        ("onec_trade", "trade_11", {"Document_ВозвратТоваровОтКлиента": "ДокументРеализации"}),
    ],
)
def test_posted_documents_that_name_a_sale_follow_it(
    tmp_path: Path, mapping: str, profile: str, fields: dict[str, str]
) -> None:
    requests: list[tuple[str, dict[str, str]]] = []
    sold, other = key_of(1), key_of(2)

    def handler(request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        requests.append((resource, options))
        field = fields[resource]
        return answer(
            [row(11, field, sold), row(12, field, sold, Posted=False), row(13, field, sold, DeletionMark=True),
             row(14, field, key_of(3))]
        )  # fmt: skip

    onec = base(handler)
    onec.profile = Profile.read(PROFILES[profile])
    assert isinstance(onec, ShowsFollowers)
    assert onec.followers("realization", [sold]) == {}, "nothing is asked for before the mapping is known"
    onec.base_paths = paths_of(mapping, tmp_path / "maps")
    assert onec.followers("realization", [sold.upper(), other]) == {sold.upper(): [key_of(11)] * len(fields)}
    assert [resource for resource, _ in requests] == list(fields)
    for resource, options in requests:
        field = fields[resource]
        assert options["$filter"] == (
            f"{field} eq cast(guid'{sold}', '{SALE}') or {field} eq cast(guid'{other}', '{SALE}')"
        )


def test_a_plain_reference_is_compared_with_the_guid_and_other_documents_are_no_base() -> None:
    filters: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        filters.append(asked(request)[1]["$filter"])
        return answer(
            [{"Ref_Key": key_of(11), "Posted": True, "DeletionMark": False, "Основание_Key": key_of(1)}]
        )

    onec = base(handler)
    onec.base_paths = {
        "return": ["Основание_Key", "[Сделка_Type=StandardODATA.Document_ЗаказКлиента].Сделка"]
    }
    assert onec.followers("realization", [key_of(1)]) == {key_of(1): [key_of(11)]}
    assert filters == [f"Основание_Key eq guid'{key_of(1)}'"]


@pytest.mark.parametrize("code", ["8", "-1"])
def test_a_set_that_is_not_published_shows_nothing_and_one_that_is_refused_says_so(code: str) -> None:
    onec = base(lambda request: refusal(404 if code == "8" else 500, code, "Сущность не найдена"))
    onec.base_paths = {"return": ["Основание_Key"], "correction": ["Основание_Key"]}
    if code == "8":
        assert onec.followers("realization", [key_of(1)]) == {}
        return
    with pytest.raises(Refused, match="Сущность не найдена"):
        onec.followers("realization", [key_of(1)])


def plan_alone(road: Road) -> None:
    """What a sync does up to the moment when the carrier begins."""
    for system in road.mappings.systems:
        if system.role == "crm":
            sync.read(road, system, system.entities)
    sync.refresh_stage(road, "core")
    with quick_gate():
        checks.gated_documents(road, [table.name for table in stage_tables("documents")], lambda _: None)
    sync.plan_operations(road)


def in_the_books(found: Company, deal: str, sale: str) -> Decimal:
    """What the sale of a deal comes to, by the base itself: the sale, its corrections, less its returns."""
    (sold,) = (row for row in found.odata(SALE) if row["Ref_Key"] == sale)
    total = Decimal(sold["СуммаДокумента"])
    for name, field, sign in ((CORRECTION, "ДокументРеализации", 1), (RETURN, "Сделка", -1)):
        for one in found.odata(name):
            if one[field] == sale and one["Posted"] and not one["DeletionMark"]:
                total += sign * Decimal(one["СуммаДокумента"])
    return total


@pytest.mark.parametrize("then", ["undo", "price"])
def test_a_return_entered_between_the_plan_and_the_carrier_is_not_doubled(
    warehouse: Warehouse, tmp_path: Path, then: str
) -> None:
    write_mappings("onec", tmp_path / "maps")
    with (
        company(warehouse, tmp_path, "--deals", "20", "--no-limits", files=False) as found,
        environment({**addresses(found.sandbox, found.drop), "SVERKA_MAPPINGS": str(tmp_path / "maps")}),
    ):
        road = Road(warehouse, load(tmp_path / "maps"), "by hand")
        with warehouse.kept(), closing(road):
            sync.prepare(road)
            sync_road(road)
            sync_road(road)
            deal, sale = warehouse.rows(_POSTED)[0]
            before = in_the_books(found, deal, sale)
            if then == "undo":
                with warehouse.transaction() as conn:
                    assert undo(conn, road.accounting, deal, "realization", "Анна", "по ошибке").done
            else:
                cheaper(found, int(deal.partition(":")[2]))
            plan_alone(road)
            found.sandbox.control("onec/do", {"where": "onec", "act": "return", "document": sale})
            assert in_the_books(found, deal, sale) == 0 < before
            assert sync.carry_operations(road).rejected == 1
            assert in_the_books(found, deal, sale) == 0
            for _ in range(3):  # the second plans by what the first read
                done = sync_road(road)
            assert in_the_books(found, deal, sale) == 0
            assert done.planned.quiet
            ((reason,),) = warehouse.rows(
                "select distinct reason from ops.operation where subject = %s and state = 'rejected'", [deal]
            ) or [("",)]
            told = warehouse.rows(
                "select told from ops.question where deal_id = %s and answer is null and withdrawn_at is null",
                [deal],
            )
            assert "(corrected or taken back by hand)" in (reason if then == "undo" else told[0][0])


def cheaper(found: Company, deal: int) -> None:
    said = found.sandbox.call("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": deal})
    rows = [
        {
            name: line[name]
            for name in ("productId", "productName", "quantity", "price", "taxRate", "taxIncluded")
        }
        for line in said["result"]["productRows"]
    ]
    for line in rows:
        line["price"] = round(float(line["price"]) * 0.9, 2)
    found.sandbox.call("crm.item.productrow.set", ownerType="D", ownerId=deal, productRows=rows)


_POSTED = """
    select d.deal_id, o.key from documents.document d
    join ops.operation o on o.subject = d.deal_id and o.kind = 'realization' and o.action = 'post' and o.state = 'verified'
    where d.kind = 'realization' and not d.has_services and d.currency = 'RUB' and not exists (
        select from ledger.allocation a join ledger.document l using (document_key) where l.comment = 'crm:' || d.deal_id)
    order by 1
"""
