"""Records that cannot be carried as they are: held with a sentence that helps, carried once when mended."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from pipelines.raw.load import Batch
from tests.bad_input.conftest import assert_says
from tests.whole_road import COUNTERPARTIES, DEMO, Company, differences_from_truth, environment, rest

COLUMNS = (
    "№ сделки", "Клиент", "ИНН", "КПП", "Товар", "Кол-во", "Цена", "Сумма", "Ставка НДС", "Стадия",
    "Дата закрытия", "Менеджер", "Валюта", "Дата",
)  # fmt: skip
PRODUCT = "Кабель ВВГнг(А)-LS 3х2,5"
BOTH = ["invoice", "realization"]

Row = Mapping[str, str]


def row(number: str, **changes: str) -> Row:
    """A line of a good deal of the branch, changed as told; the client is one that it has already."""
    good = dict.fromkeys(COLUMNS, "") | {
        "№ сделки": number, "Клиент": "ООО «Проба»", "ИНН": "7707083893", "КПП": "770701001", "Товар": PRODUCT,
        "Кол-во": "2", "Цена": "60,00", "Сумма": "120,00", "Ставка НДС": "22%", "Стадия": "Закрыта",
        "Дата закрытия": "20.11.2026", "Валюта": "RUB", "Дата": "10.11.2026",
    }  # fmt: skip
    assert not set(changes) - set(good)
    return good | changes


def drop(town: Company, name: str, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> Path:
    """The branch drops a file, or the same file anew."""
    path = town.drop / name
    with path.open("w", encoding="cp1251", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter=";", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    rested(path)
    return path


def rested(path: Path) -> None:
    then = path.stat().st_mtime - 60
    os.utime(path, (then, then))


def kinds_of(town: Company, deal: str) -> list[str]:
    """Kinds of the documents that 1C has of a deal, as often as it has them."""
    return sorted(kind for (name, kind), rows in town.ours().items() if name == deal for _ in rows)


def only_error(batches: Sequence[Batch]) -> str:
    (error,) = {batch.error for batch in batches if batch.error}
    return error


def bitrix24_id(town: Company, kind: str) -> tuple[str, dict[str, Any]]:
    """The portal's id of the first deal that has this dirt, and its truth."""
    deals = town.sandbox.control("truth")["deals"].values()
    deal = next(deal for deal in deals if kind in deal["dirt"])
    return deal["bitrix24"], deal


def move(town: Company, deal: str, stage: str) -> None:
    town.sandbox.call("crm.item.update", entityTypeId=2, id=int(deal), fields={"stageId": stage})


def test_the_company_is_carried_as_its_truth_says_whatever_is_wrong_in_it(carried: Company) -> None:
    assert differences_from_truth(carried) == []
    assert carried.sync().planned.quiet


def test_an_unknown_stage_is_held_by_name_and_carried_once_the_deal_moves_on(carried: Company) -> None:
    number, _ = bitrix24_id(carried, "stage_without_rule")
    (reason,) = carried.held()[f"bitrix24:{number}"].values()
    assert_says(
        reason, f"deal {number} (bitrix24)", "UC_7T1QXK", "the mapping file bitrix24.yaml", town=carried
    )
    move(carried, number, "WON")
    carried.sync("bitrix24")
    assert kinds_of(carried, f"bitrix24:{number}") == BOTH
    assert f"bitrix24:{number}" not in carried.held()


def test_a_product_without_a_mapping_is_held_by_name_and_carried_once_it_has_an_alias(
    carried: Company, tmp_path: Path
) -> None:
    number, deal = bitrix24_id(carried, "product_unknown")
    deal_id = f"bitrix24:{number}"
    move(carried, number, "PREPAYMENT_INVOICE")
    carried.sync("bitrix24")
    reason = carried.held()[deal_id]["product_resolved"]
    rows = carried.sandbox.call(
        "crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": int(number)}
    )
    name = next(r["productName"] for r in rows["result"]["productRows"] if not r["productId"])
    assert_says(
        reason, f"deal {number} (bitrix24)", name, "alias", "the mapping file bitrix24.yaml", town=carried
    )
    assert kinds_of(carried, deal_id) == []
    mappings = tmp_path / "mappings"
    shutil.copytree(DEMO, mappings)
    file = mappings / "bitrix24.yaml"
    alias = f"  match: [code, name]\n  aliases:\n    - {{name: '{name}', is: '{deal['lines'][0]['name']}'}}\n"
    file.write_text(file.read_text().replace("  match: [code, name]\n", alias))
    with environment({"SVERKA_MAPPINGS": str(mappings)}):
        carried.sync("bitrix24")
        assert kinds_of(carried, deal_id) == ["invoice"]
    carried.sync("bitrix24")  # with the old mapping again: what is there stays
    assert kinds_of(carried, deal_id) == ["invoice"]


def test_an_inn_with_a_wrong_checksum_is_held_by_its_number_and_carried_once_corrected(
    carried: Company,
) -> None:
    deals = carried.sandbox.control("truth")["files"]["deals"]
    number, deal = next((n, d) for n, d in deals.items() if d["dirt"] == ["inn_checksum"])
    wrong = carried.warehouse.scalar(
        "select tax_number_given from documents.deal where deal_id = %s", [f"branch:{number}"]
    )
    reason = carried.held()[f"branch:{number}"]["tax_number_valid"]
    assert_says(
        reason,
        f"deal {number} (branch)",
        wrong,
        "by its other digits that must be",
        "correct it",
        town=carried,
    )
    file = carried.drop / deal["file"]
    file.write_bytes(
        file.read_bytes().replace(wrong.lstrip("0").encode(), deal["counterparty"]["inn"].encode())
    )
    rested(file)
    carried.sync("branch")
    assert kinds_of(carried, f"branch:{number}") == sorted(deal["documents"])


def test_an_inn_that_lost_its_leading_zero_is_restored_and_not_held(carried: Company) -> None:
    _, deal = bitrix24_id(carried, "inn_without_zero")
    inn, kpp = deal["counterparty"]["inn"], deal["counterparty"]["kpp"]
    assert inn.startswith("0")
    shown = carried.sandbox.call("crm.requisite.list", filter={"RQ_INN": inn.lstrip("0")})["result"]
    assert shown, "the portal shows it without the zero"
    there = [r for r in carried.odata(COUNTERPARTIES) if (r["ИНН"], r["КПП"]) == (inn, kpp)]
    assert len([r for r in there if not r["DeletionMark"]]) == 1
    assert not [r for r in carried.odata(COUNTERPARTIES) if r["ИНН"] == inn.lstrip("0")]


def test_an_amount_in_words_holds_its_deal_and_no_other_of_the_file(carried: Company) -> None:
    good, bad = row("П-1"), row("П-2", Сумма="сто двадцать рублей")
    drop(carried, "Сделки-слова.csv", [good, bad])
    carried.sync("branch")
    assert kinds_of(carried, "branch:П-1") == BOTH
    assert kinds_of(carried, "branch:П-2") == []
    reasons = " ".join(carried.held()["branch:П-2"].values())
    assert_says(reasons, "deal П-2 (branch)", "Сумма", "сто двадцать рублей", "correct", town=carried)
    drop(carried, "Сделки-слова.csv", [good, row("П-2")])
    carried.sync("branch")
    assert [kinds_of(carried, f"branch:П-{n}") for n in (1, 2)] == [BOTH, BOTH]


def test_two_deals_with_one_number_are_told_apart_by_a_person_not_by_us(carried: Company) -> None:
    other = {"Клиент": "АО «Другой»", "ИНН": "7736050003", "КПП": "773601001"}
    drop(carried, "Сделки-номер.csv", [row("П-3"), row("П-4"), row("П-4", **other)])
    done = carried.sync("branch")
    assert sum(batch.rejected for batch in done.batches) == 2
    (reason,) = {
        reason
        for (reason,) in carried.warehouse.rows(
            "select reason from ops.quarantine where place like 'Сделки-номер.csv%' and resolved_at is null"
        )
    }
    assert_says(reason, "Сделки-номер.csv", "П-4", "Клиент", "lines 3, 4", "number of its own", town=carried)
    assert [kinds_of(carried, f"branch:П-{n}") for n in (3, 4)] == [BOTH, []]
    drop(carried, "Сделки-номер.csv", [row("П-3"), row("П-4"), row("П-5", **other)])
    carried.sync("branch")
    assert [kinds_of(carried, f"branch:П-{n}") for n in (3, 4, 5)] == [BOTH, BOTH, BOTH]
    assert not carried.warehouse.scalar("select count(*) from ops.quarantine where resolved_at is null")


def test_one_number_in_two_spellings_is_not_invoiced_twice(carried: Company) -> None:
    drop(carried, "Сделки-запись.csv", [row("П-8"), row("0101")])
    carried.sync("branch")
    assert [kinds_of(carried, f"branch:{n}") for n in ("П-8", "0101")] == [BOTH, BOTH]
    drop(carried, "Сделки-запись-ещё.csv", [row("п-8"), row("101"), row("102")])
    carried.sync("branch")
    assert [kinds_of(carried, f"branch:{n}") for n in ("п-8", "101", "102")] == [[], [], BOTH]
    assert_says(carried.held()["branch:101"]["number_once"], "deal 101 (branch)", "deal 0101", "whose documents accounting has",
                town=carried)  # fmt: skip
    superfluous = {"Стадия": "Отказ", "Дата закрытия": ""}
    drop(carried, "Сделки-запись.csv", [row("П-8"), row("0101", **superfluous)])
    carried.sync("branch")
    assert kinds_of(carried, "branch:101") == [], "0101 has its documents, whatever its stage is now"
    drop(carried, "Сделки-запись.csv", [row("0101"), row("П-8")])
    drop(carried, "Сделки-запись-ещё.csv", [row("п-8", **superfluous), row("101", **superfluous), row("102")])
    carried.sync("branch")
    assert not {"branch:П-8", "branch:п-8", "branch:0101", "branch:101"} & carried.held().keys()
    assert [kinds_of(carried, f"branch:{n}") for n in ("П-8", "0101")] == [BOTH, BOTH]


def test_a_number_given_to_another_client_in_another_file_holds_the_deal_and_rewrites_no_draft(
    carried: Company,
) -> None:
    def buyer() -> str:
        (invoice,) = carried.ours()["branch:П-22", "invoice"]
        names = {r["Ref_Key"]: r["ИНН"] for r in carried.odata(COUNTERPARTIES)}
        return str(names[invoice["Контрагент_Key"]])

    open_deal = {"Стадия": "Счёт выставлен", "Дата закрытия": ""}
    drop(carried, "Сделки-первый.csv", [row("П-22", **open_deal)])
    carried.sync("branch")
    assert buyer() == "7707083893"
    other = {"Клиент": "АО «Другой»", "ИНН": "7736050003", "КПП": "773601001"}
    drop(carried, "Сделки-второй.csv", [row("П-22", **other), row("П-23")])
    carried.sync("branch")
    reason = carried.held()["branch:П-22"]["rows_complete"]
    assert_says(reason, "deal П-22 (branch)", "Сделки-второй.csv", "Сделки-первый.csv", "Клиент", "АО «Другой»",
                "ООО «Проба»", "drop it again under its name", town=carried)  # fmt: skip
    assert (kinds_of(carried, "branch:П-22"), buyer()) == (["invoice"], "7707083893")
    assert kinds_of(carried, "branch:П-23") == BOTH, "the rest of the file goes on"
    carried.sync("branch", full=True)
    assert (kinds_of(carried, "branch:П-22"), buyer()) == (["invoice"], "7707083893")
    drop(carried, "Сделки-второй.csv", [row("П-24", **other), row("П-23")])
    drop(carried, "Сделки-первый.csv", [row("П-22")])
    carried.sync("branch")
    assert "branch:П-22" not in carried.held()
    assert [kinds_of(carried, f"branch:П-{n}") for n in (22, 23, 24)] == [BOTH, BOTH, BOTH]
    assert buyer() == "7707083893"


def test_an_empty_vat_cell_holds_the_deal_and_without_vat_spelled_out_does_not(carried: Company) -> None:
    drop(carried, "Сделки-ндс.csv", [row("П-25", **{"Ставка НДС": ""}), row("П-26", **{"Ставка НДС": "Без НДС"}),
                                     row("П-27", **{"Ставка НДС": "семь"})])  # fmt: skip
    carried.sync("branch")
    assert kinds_of(carried, "branch:П-25") == []
    reason = carried.held()["branch:П-25"]["line_readable"]
    assert_says(
        reason, "deal П-25 (branch), line 1", "vat_rate is missing", "Ставка НДС", "fill it in", town=carried
    )
    assert_says(carried.held()["branch:П-27"]["line_readable"], "семь", "Ставка НДС", town=carried)
    (invoice,) = carried.ours()["branch:П-26", "invoice"]
    assert [(line["СтавкаНДС"], line["СуммаНДС"]) for line in invoice["Товары"]] == [("БезНДС", 0)]
    drop(carried, "Сделки-ндс.csv", [row("П-25"), row("П-26", **{"Ставка НДС": "Без НДС"}), row("П-27")])
    carried.sync("branch")
    assert [kinds_of(carried, f"branch:П-{n}") for n in (25, 26, 27)] == [BOTH, BOTH, BOTH]


def test_a_file_in_utf_32_and_one_with_a_zero_character_stop_nothing(carried: Company) -> None:
    def text(*rows: Row) -> str:
        return "".join(";".join(cells) + "\r\n" for cells in (COLUMNS, *(r.values() for r in rows)))

    files = {
        "Сделки-32.csv": text(row("П-28")),
        "Сделки-16.csv": text(row("П-29"), row("П-30", Менеджер="О\0рлова")),
    }
    for name, encoding in (("Сделки-32.csv", "utf-32"), ("Сделки-16.csv", "utf-16")):
        (carried.drop / name).write_bytes(files[name].encode(encoding))
        rested(carried.drop / name)
    assert carried.sync("branch").errors == []
    assert [kinds_of(carried, f"branch:П-{n}") for n in (28, 29, 30)] == [BOTH, BOTH, []]
    apart = carried.warehouse.rows(
        "select place, parent_id, reason from ops.quarantine where resolved_at is null and place like 'Сделки-16%'"
    )
    assert [(place, deal) for place, deal, _ in apart] == [("Сделки-16.csv, line 3", "П-30")]
    assert_says(apart[0][2], "zero characters", "export again", town=carried)
    drop(carried, "Сделки-16.csv", [row("П-29"), row("П-30")])
    carried.sync("branch")
    assert kinds_of(carried, "branch:П-30") == BOTH


def test_a_deal_whose_rows_begin_to_contradict_each_other_is_held_as_a_whole(carried: Company) -> None:
    open_deal = {"Стадия": "Счёт выставлен", "Дата закрытия": ""}
    two = [row("П-6", **open_deal), row("П-6", Товар="Кабель NYM 5х4", **open_deal)]
    drop(carried, "Сделки-строки.csv", two)
    carried.sync("branch")
    assert kinds_of(carried, "branch:П-6") == ["invoice"]
    drop(carried, "Сделки-строки.csv", [row("П-6"), two[1]])
    carried.sync("branch")
    reason = carried.held()["branch:П-6"]["rows_complete"]
    assert_says(reason, "deal П-6 (branch)", "Сделки-строки.csv", "differ in", "Стадия", town=carried)
    drop(carried, "Сделки-ещё.csv", [row("П-7")])  # reading another file mends nothing here
    carried.sync("branch")
    assert "rows_complete" in carried.held()["branch:П-6"]
    drop(carried, "Сделки-строки.csv", [row("П-6"), row("П-6", Товар="Кабель NYM 5х4")])
    carried.sync("branch")
    assert kinds_of(carried, "branch:П-6") == BOTH


def test_a_product_that_stands_twice_in_a_deal_is_two_lines(carried: Company) -> None:
    twice = [row("П-8"), row("П-8", Цена="55,00", Сумма="110,00"), row("П-8")]
    drop(carried, "Сделки-дважды.csv", twice)
    carried.sync("branch")
    (invoice,) = carried.ours()["branch:П-8", "invoice"]
    assert sorted(line["Сумма"] for line in invoice["Товары"]) == [110, 120, 120]
    assert invoice["СуммаДокумента"] == 350


def _half(path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(list(COLUMNS))
    for n in range(50):
        book.active.append(list(row(f"П-{100 + n}").values()))
    book.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    rested(path)


def _growing(path: Path) -> None:
    path.write_text(";".join(COLUMNS) + "\n" + ";".join(row("П-100").values()), encoding="cp1251")


def _other_columns(path: Path) -> None:
    path.write_text("Номер;Контрагент;Итого\n1;ООО «Проба»;100\n", encoding="cp1251")
    rested(path)


BROKEN: list[tuple[Callable[[Path], None], str, tuple[str, ...]]] = [
    (
        _half,
        "Сделки-новые.xlsx",
        ("branch", "Сделки-новые.xlsx", "damaged or half-written", "wait for the copy to end"),
    ),
    (_growing, "Сделки-новые.csv", ("branch", "Сделки-новые.csv", "may still be growing", "rested")),
    (
        _other_columns,
        "Сделки-новые.csv",
        ("branch", "Сделки-новые.csv", "№ сделки", "correct the names in the connection"),
    ),
]


@pytest.mark.parametrize(
    ("broken", "name", "words"), BROKEN, ids=["half-written", "growing", "other-columns"]
)
def test_a_file_that_cannot_be_trusted_is_left_alone_and_read_once_whole(
    carried: Company, broken: Callable[[Path], None], name: str, words: tuple[str, ...]
) -> None:
    before = carried.states()
    deal = f"П-9{name.rpartition('.')[2]}{broken.__name__}"
    path = carried.drop / name
    broken(path)
    try:
        done = carried.sync("branch")
        assert_says(only_error(done.batches), *words, town=carried)
        assert carried.states() == before, "nothing was planned, superseded or held for it"
    finally:
        path.unlink()
    drop(carried, f"{Path(name).stem}.csv", [row(deal)])
    assert carried.sync("branch").errors == []
    assert kinds_of(carried, f"branch:{deal}") == BOTH
    assert carried.sync("branch").planned.quiet


@pytest.fixture(autouse=True)
def _drop_is_at_rest(carried: Company) -> None:
    rest(carried.drop)
