"""The simulated company: its truth is valid, repeatable, and dirty only where it says so."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from stdnum.ru import inn, ogrn

from sandbox import files
from sandbox.bitrix24.projection import deal_record, row_records
from sandbox.bitrix24.rest import Limits, RestError, parse_query
from sandbox.company.days import pass_time
from sandbox.company.model import LOST_STAGES, WON_STAGES, Company, deal_amounts, line_amounts, main_vat_rate
from sandbox.company.truth import deal_truth
from sandbox.dirt import spelled_name, spelled_phone, touched_at
from sandbox.store import Store

TODAY = date(2026, 6, 15)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company.generate(7, 400, TODAY)


def test_the_same_seed_gives_the_same_company(company: Company) -> None:
    again = Company.generate(7, 400, TODAY)
    assert (again.deals, again.parties, again.dirt) == (company.deals, company.parties, company.dirt)
    assert Company.generate(8, 400, TODAY).deals != company.deals


def test_shares_of_won_lost_and_open_deals_are_those_of_a_living_company(company: Company) -> None:
    deals = company.deals.values()
    won = sum(d.stage in WON_STAGES for d in deals) / 400
    lost = sum(d.stage in LOST_STAGES for d in deals) / 400
    assert 0.38 < won < 0.52
    assert 0.19 < lost < 0.31
    outcomes = Counter(deal_truth(company, d)["outcome"] for d in deals)
    due = outcomes["load"] + outcomes["hold"]
    assert 0.03 < outcomes["hold"] / due < 0.12, outcomes


def test_tax_numbers_of_the_truth_are_valid(company: Company) -> None:
    for party in [*company.parties.values(), company.own]:
        if party.country == "RU":
            assert inn.is_valid(party.inn), party
            assert ogrn.is_valid(party.ogrn), party
            assert len(party.kpp) == (0 if party.legal_form == "ИП" else 9)
        else:
            assert party.inn == ""


def test_vat_rises_with_the_year(company: Company) -> None:
    assert (main_vat_rate(date(2025, 12, 31)), main_vat_rate(date(2026, 1, 1))) == (20, 22)
    for deal in company.deals.values():
        rate = main_vat_rate(deal.closed_on or TODAY)
        assert {line.vat_rate for line in deal.lines} <= {rate, 10, 0}, deal


def test_net_and_vat_add_up_to_gross_in_every_line(company: Company) -> None:
    on_top = 0
    for deal in company.deals.values():
        for line in deal.lines:
            net, vat, gross = line_amounts(line)
            assert net + vat == gross
            assert abs(vat - gross * line.vat_rate / (100 + line.vat_rate)) <= Decimal("0.01")
            on_top += not line.vat_included
    assert on_top > 20


def test_every_sort_of_dirt_is_there(company: Company) -> None:
    kinds = Counter(d.kind for d in company.dirt)
    assert set(kinds) >= {
        "stage_without_rule", "amount_mismatch", "product_unknown", "lines_missing", "client_missing",
        "product_alias", "test_deal", "deleted", "requisite_ambiguous", "inn_without_zero", "inn_checksum",
        "inn_missing", "name_typo", "name_spelling", "phone_spelling", "duplicate_company",
    }  # fmt: skip
    for dirt in company.dirt:
        if dirt.kind == "inn_without_zero":
            assert company.parties[dirt.id].inn.startswith("0")


def test_a_clean_deal_is_shown_with_the_sum_of_its_rows_and_a_soiled_one_is_not(company: Company) -> None:
    now = touched_at(next(iter(company.deals.values())), company.deals["d1"].created_at)
    for deal in company.deals.values():
        dirt = company.dirt_of("deal", deal.id)
        shown = deal_record(company, deal, now)
        if shown is None:
            assert "deleted" in dirt
            continue
        rows = row_records(company, deal)
        total = sum((_gross(row) for row in rows), Decimal(0))
        difference = abs(Decimal(str(shown["opportunity"])) - total)
        if dirt.keys() & {"amount_mismatch", "lines_missing"}:
            assert difference > Decimal("0.3")
        else:
            assert difference <= Decimal("0.01") * len(rows), deal
        if not dirt:
            assert Decimal(str(shown["opportunity"])) == deal_amounts(deal).gross


def _gross(row: dict[str, Any]) -> Decimal:
    """What a reader of a product row makes of it: tax on the sum of the line."""
    on_top = row["taxIncluded"] == "N"
    price = Decimal(str(row["priceExclusive" if on_top else "price"])) * Decimal(str(row["quantity"]))
    return (price * (1 + Decimal(row["taxRate"] or 0) / 100 if on_top else 1)).quantize(Decimal("0.01"))


def test_time_passes_the_same_way_twice(company: Company) -> None:
    one, two = Company.generate(3, 120, TODAY), Company.generate(3, 120, TODAY)
    for number in range(1, 6):
        assert pass_time(one, 3, 12, number) == pass_time(two, 3, 12, number)
    assert (one.deals, one.dirt, one.today) == (two.deals, two.dirt, two.today)
    assert len(one.deals) == 180
    assert pass_time(one, 1, 0, 6) == []


def test_a_correction_turns_a_held_deal_into_one_to_load() -> None:
    company = Company.generate(7, 400, TODAY)
    held = {k for k, d in company.deals.items() if str(deal_truth(company, d)["reason"]).startswith("inn_")}
    assert held
    for number in range(1, 4):
        pass_time(company, 0, 1, number, ["corrected"])
    loaded = {k for k in held if deal_truth(company, company.deals[k])["outcome"] == "load"}
    assert loaded


def test_names_and_phones_have_several_spellings(company: Company) -> None:
    party = next(p for p in company.parties.values() if p.legal_form == "ООО")
    assert len({spelled_name(party, n) for n in range(6)}) == 6
    spellings = {spelled_phone("+74952000300", n) for n in range(6)}
    assert len(spellings) == 6
    assert all("".join(c for c in s if c.isdigit()).find("4952000300") >= 0 for s in spellings)


def test_a_method_runs_out_of_its_operating_budget_and_recovers() -> None:
    at = [1000.0]
    limits = Limits(enforced=True, clock=lambda: at[0])
    for _ in range(1201):
        limits.admit("crm.item.update")
        limits.charge("crm.item.update")
    with pytest.raises(RestError) as refused:
        limits.admit("crm.item.update")
    assert (refused.value.status, refused.value.code) == (429, "OPERATION_TIME_LIMIT")
    limits.admit("crm.item.add")
    assert limits.reset_at("crm.item.update") == 1600
    at[0] = 1600.0
    limits.admit("crm.item.update")


def test_the_bucket_leaks_two_a_second() -> None:
    at = [0.0]
    limits = Limits(enforced=True, clock=lambda: at[0])
    for _ in range(50):
        limits.knock()
    with pytest.raises(RestError):
        limits.knock()
    at[0] = 1.0
    limits.knock()
    limits.knock()
    with pytest.raises(RestError):
        limits.knock()


def test_query_strings_are_read_as_php_reads_them() -> None:
    assert parse_query("a[>id]=5&a[@x][]=1&a[@x][]=2&s[]=t&s[]=u&n=1&o[k][0][z]=%D1%8F") == {
        "a": {">id": "5", "@x": ["1", "2"]},
        "s": ["t", "u"],
        "n": "1",
        "o": {"k": [{"z": "я"}]},
    }


def test_the_store_comes_back_after_a_torn_line(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = store.collection("rows")
    rows.put("a", {"x": 1})
    rows.put("b", {"x": 2})
    rows.delete("a")
    assert [store.counter("n"), store.counter("n")] == [1, 2]
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'["rows","c",{"x":')
    again = Store(tmp_path)
    assert dict(again.collection("rows")) == {"b": {"x": 2}}
    assert again.counter("n") == 3
    again.collection("rows").put("d", {"x": 4})
    again.close()
    assert set(Store(tmp_path).collection("rows")) == {"b", "d"}


def test_the_branch_office_sends_spreadsheets_that_add_up_to_the_truth(
    company: Company, tmp_path: Path
) -> None:
    store = Store(None)
    dropped = files.drop(company, tmp_path, store)
    known = files.truth(company, store)["deals"]
    assert dropped["deals"] == len(known) == 40
    with (tmp_path / "Сделки.csv").open(encoding="cp1251", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    sums: dict[str, Decimal] = {}
    for row in rows:
        if row["№ сделки"].startswith("Ф"):
            value = Decimal(row["Сумма"].replace("\u00a0", "").replace(",", "."))
            sums[row["№ сделки"]] = sums.get(row["№ сделки"], Decimal(0)) + value
    sheet = openpyxl.load_workbook(tmp_path / "Сделки.xlsx").active
    assert sheet is not None
    for cells in sheet.iter_rows(min_row=2, values_only=True):
        if str(cells[0] or "").startswith("Ф"):
            sums[str(cells[0])] = sums.get(str(cells[0]), Decimal(0)) + Decimal(str(cells[7]))
    assert set(sums) == set(known)
    for number, deal in known.items():
        if deal["reason"] != "amount_mismatch":
            assert sums[number] == Decimal(deal["total"]), number
    assert any(not any(row.values()) for row in rows)
    assert rows[-1]["№ сделки"] == "Итого"
    assert files.drop(company, tmp_path, store)["deals"] == 45
