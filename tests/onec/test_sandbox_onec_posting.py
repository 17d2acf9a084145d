"""The 1C base of the sandbox posts, keeps its register and lets an accountant work in it."""

from __future__ import annotations

import random
import signal
import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.company.model import Company
from sandbox.onec import stand_in as onec
from sandbox.onec.accountant import PER_MILLE_OF_CASES, pass_days, plan
from sandbox.onec.accounting import SETS
from sandbox.onec.base import TRUTH, Base
from sandbox.onec.documents import SaleLine, contracts_by_owner, realization, vat_rate_of
from sandbox.onec.ledger import Ledger
from sandbox.onec.model import PRODUCTS
from sandbox.store import Store
from tests.onec import town as onec_town
from tests.onec.town import (
    CONTRACTS,
    EMPTY,
    INVOICE,
    PARTIES,
    RECEIPT,
    REFUND,
    REGISTER,
    SALE,
    Town,
    balance,
    balance_of_all,
    entries,
    payment,
    refusal,
    sale,
)

town, office, buyer = onec_town.town, onec_town.office, onec_town.buyer  # fixtures

# Posting


def test_a_posted_sale_makes_balanced_entries_and_unposting_takes_them_back(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    key = town.posted(SALE, sale(office, buyer, 122))
    assert entries(town, key) == [
        ("62.01", "90.01.1", Decimal(244)),
        ("90.03", "68.02", Decimal(44)),
        ("90.02.1", "41.01", Decimal(140)),
    ]
    assert town.one(SALE, key)["Posted"] is True
    records = town.rows(f"{REGISTER}_RecordType", filter=f"Recorder eq cast(guid'{key}','{SALE}')")
    assert [row["LineNumber"] for row in records] == ["1", "2", "3"]
    assert not [name for name in records[0] if name.startswith("ExtDimension")]
    day = "StartPeriod=datetime'2026-03-10T00:00:00',EndPeriod=datetime'2026-03-10T23:59:59'"
    told = [row for row in town.rows(f"{REGISTER}/RecordsWithExtDimensions({day})") if row["Recorder"] == key]
    assert [row["ExtDimensionDr1"] for row in told if row["LineNumber"] == "1"] == [buyer["party"]]
    assert town.http.post(f"{SALE}(guid'{key}')/Unpost").status_code == 200
    assert entries(town, key) == []
    assert town.one(SALE, key)["Posted"] is False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ДоговорКонтрагента_Key": EMPTY}, "Договор"),
        ({"Контрагент_Key": EMPTY}, '"Контрагент" не заполнено'),
        ({"Организация_Key": EMPTY}, '"Организация" не заполнено'),
        ({"Склад_Key": EMPTY}, "Склад"),
        ({"Товары": []}, "ни одной строки"),
        ({"СуммаДокумента": 244.01}, "Сумма документа"),
        ({"row": {"СуммаНДС": 40.0}}, "не соответствует ставке"),
        ({"row": {"Сумма": 250.0}}, "произведению"),
        ({"row": {"Номенклатура_Key": EMPTY}}, "Номенклатура"),
        ({"row": {"СчетДоходов_Key": EMPTY}}, "Счет доходов"),
        ({"СчетУчетаРасчетовПоАвансам_Key": EMPTY}, "Счет учета расчетов по авансам"),
    ],
)
def test_posting_refuses_what_an_accountant_would_not_sign(
    town: Town, office: dict[str, Any], buyer: dict[str, str], change: dict[str, Any], words: str
) -> None:
    key = town.made(SALE, sale(office, buyer, **change))
    status, code, text = refusal(town.send("POST", f"{SALE}(guid'{key}')/Post"))
    assert (status, code) == (500, "-1")
    assert text.startswith("Не удалось провести")
    assert words in text
    assert entries(town, key) == []
    assert town.one(SALE, key)["Posted"] is False


def test_somebody_elses_contract_is_refused(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    other = next(
        row["Ref_Key"] for row in town.rows(CONTRACTS, top=100) if row["Owner_Key"] != buyer["party"]
    )
    key = town.made(SALE, sale(office, buyer, ДоговорКонтрагента_Key=other))
    assert "не принадлежит контрагенту" in refusal(town.send("POST", f"{SALE}(guid'{key}')/Post"))[2]


def test_a_posted_document_is_changed_only_after_unposting(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    key = town.posted(SALE, sale(office, buyer))
    place = f"{SALE}(guid'{key}')"
    assert refusal(town.send("PATCH", place, {"Комментарий": "x"}))[:2] == (500, "-1")
    assert town.http.post(f"{place}/Unpost").status_code == 200
    assert town.send("PATCH", place, {"Комментарий": "x"}).status_code == 200
    assert town.http.post(f"{place}/Post()").status_code == 200
    assert balance(town, "62.01", buyer["party"]) == 244


def test_an_invoice_is_written_and_never_posted(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    body = sale(office, buyer)
    key = town.made(INVOICE, {name: body[name] for name in ("Date", "Контрагент_Key", "СуммаДокумента")})
    assert refusal(town.send("POST", f"{INVOICE}(guid'{key}')/Post"))[:2] == (500, "-1")


def test_a_closed_period_refuses_every_change(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    draft, posted = town.made(SALE, sale(office, buyer)), town.posted(SALE, sale(office, buyer))
    later = town.made(SALE, sale(office, buyer, Date="2026-04-01T00:00:00"))
    town.close("2026-03-31")
    try:
        attempts = [
            ("POST", SALE, sale(office, buyer)),
            ("PATCH", f"{SALE}(guid'{draft}')", {"Комментарий": "x"}),
            ("PATCH", f"{SALE}(guid'{later}')", {"Date": "2026-03-31T23:59:59"}),
            ("POST", f"{SALE}(guid'{draft}')/Post", None),
            ("POST", f"{SALE}(guid'{posted}')/Unpost", None),
        ]
        for method, path, body in attempts:
            status, code, text = refusal(town.send(method, path, body))
            assert (status, code) == (500, "-1"), path
            assert "запрета изменения" in text, path
        assert town.send("PATCH", f"{SALE}(guid'{later}')", {"Комментарий": "x"}).status_code == 200
    finally:
        town.close(None)


def test_money_settles_the_debt_first_and_the_rest_waits_as_an_advance(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    town.posted(SALE, sale(office, buyer, 122))
    paid = town.posted(RECEIPT, payment(office, buyer, 300.5, "2026-03-12"))
    assert entries(town, paid) == [("51", "62.01", Decimal(244)), ("51", "62.02", Decimal("56.5"))]
    second = town.posted(SALE, sale(office, buyer, 61))
    assert entries(town, second)[-1] == ("62.02", "62.01", Decimal("56.5"))
    assert balance(town, "62.01", buyer["party"]) == Decimal("65.5")
    assert balance(town, "62.02", buyer["party"]) == 0
    back = town.posted(REFUND, payment(office, buyer, 10, "2026-03-20"))
    assert entries(town, back) == [("62.01", "51", Decimal(10))]


# Registers


def test_a_balance_is_that_of_before_the_moment_and_turnovers_close_it(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    town.posted(SALE, sale(office, buyer, 122))
    town.posted(RECEIPT, payment(office, buyer, 100, "2026-03-11"))
    mine = f"ExtDimension1 eq cast(guid'{buyer['party']}','{PARTIES}')"

    def at(moment: str) -> list[float]:
        table = f"{REGISTER}/Balance(Period=datetime'{moment}',AccountCondition='Account/Code eq ''62.01''')"
        return [row["СуммаBalance"] for row in town.rows(table, filter=mine)]

    assert at("2026-03-10T12:00:00") == []
    assert at("2026-03-10T12:00:01") == [244]
    assert at("2026-03-12T00:00:00") == [144]
    period = "StartPeriod=datetime'2026-03-11T00:00:00',EndPeriod=datetime'2026-03-31T23:59:59'"
    row = town.rows(
        f"{REGISTER}/BalanceAndTurnovers({period},AccountCondition='Account/Code eq '62.01'')", filter=mine
    )
    shown = [
        row[0][f"Сумма{name}"] for name in ("OpeningBalance", "TurnoverDr", "TurnoverCr", "ClosingBalance")
    ]
    assert shown == [244, 0, 100, 144]
    turnover = town.rows(f"{REGISTER}/Turnovers({period},Condition='{mine}')")
    assert [r["СуммаTurnover"] for r in turnover] == [-100]
    wrong = town.get(f"{REGISTER}/Balance", filter="Account_Key eq guid'51'")
    assert wrong.status_code == 400


def test_the_whole_ledger_balances_after_months_of_an_accountants_work(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    for price in range(1, 30):
        town.posted(SALE, sale(office, buyer, price + 0.37))
    answer = httpx.post(f"{town.url}/control/tick", json={"days": 60, "deals": 0}, timeout=60)
    answer.raise_for_status()
    assert balance_of_all(town) == 0
    truth = httpx.get(f"{town.url}/control/truth").json()["accounting"]
    paid = {row["document"]: row for row in truth.values() if row["act"] == "payment"}
    assert len(paid) > 10
    for key, act in paid.items():
        document = town.one(RECEIPT, key)
        assert Decimal(str(document["СуммаДокумента"])) == Decimal(act["amount"])
        assert document["Контрагент"] == act["entered_counterparty"]
        assert document["Posted"] is act["posted"]
        assert act["posted"] or act["why"].startswith("Не удалось провести")


def test_records_are_found_by_period_as_by_hand(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    for day in ("2026-06-01", "2026-06-02", "2026-06-03"):
        town.posted(SALE, sale(office, buyer, Date=f"{day}T12:00:00"))
    table = f"{REGISTER}_RecordType"
    every = town.rows(table)
    low, high = "2026-06-01T12:00:00", "2026-06-03T12:00:00"
    inside: dict[tuple[str, str], Callable[[str], bool]] = {
        ("gt", "le"): lambda period: low < period <= high,
        ("ge", "lt"): lambda period: low <= period < high,
    }
    for words, matches in inside.items():
        condition = f"Period {words[0]} datetime'{low}' and Period {words[1]} datetime'{high}'"
        found = {(row["Recorder"], row["LineNumber"]) for row in town.rows(table, filter=condition)}
        assert found == {(r["Recorder"], r["LineNumber"]) for r in every if matches(r["Period"])}
        assert len(found) >= 6


def test_rates_are_sliced_by_day(town: Town) -> None:
    table = "InformationRegister_КурсыВалют"
    last = town.rows(f"{table}/SliceLast(Condition='Валюта/Code eq ''840''')")
    every = town.rows(table, filter="Валюта/Code eq '840'", orderby="Period desc", top=1)
    assert [(row["Period"], row["Курс"]) for row in last] == [(every[0]["Period"], every[0]["Курс"])]


# The process


def test_a_killed_base_goes_on_where_it_was(tmp_path: Path) -> None:
    town = Town(tmp_path)
    key = town.made(PARTIES, {"Description": "УБИТЫЙ ООО"})
    before, balances = town.one(PARTIES, key), town.rows(f"{REGISTER}/Balance")
    town.stop(signal.SIGKILL)
    town.start()
    try:
        after = town.one(PARTIES, key)
        assert {k: v for k, v in after.items() if k != "odata.metadata"} == {
            k: v for k, v in before.items() if k != "odata.metadata"
        }
        assert sorted(map(str, town.rows(f"{REGISTER}/Balance"))) == sorted(map(str, balances))
        assert town.made(PARTIES, {"Description": "СЛЕДУЮЩИЙ ООО"}) != key
    finally:
        town.stop()


def test_a_fault_can_speak_as_the_vendor(town: Town) -> None:
    fault = {"where": "onec", "kind": "unauthorized", "match": "Catalog_Склады", "times": 1}
    httpx.post(f"{town.url}/control/faults", json=fault).raise_for_status()
    assert refusal(town.get("Catalog_Склады"))[:2] == (401, "20")
    assert town.get("Catalog_Склады").status_code == 200


# The accountant, without HTTP: what he does follows from the documents


def base_of(seed: int) -> Base:
    company = Company.generate(seed, 40, date(2026, 5, 20))
    store = Store(None)
    onec.seed(company, store)
    return Base.of(store)


def sold(base: Base, number: int, day: date) -> str:
    """A posted realization whose key depends on `number` alone."""
    contracts = sorted(contracts_by_owner(base).items())
    goods = next(
        key for key, row in base.rows[PRODUCTS].items() if row.get("Артикул") and not row.get("Услуга")
    )
    key = str(uuid.uuid5(uuid.NAMESPACE_OID, f"sale {number}"))
    line = SaleLine(goods, Decimal(1 + number % 4), Decimal(100 + number) + Decimal("0.55"), vat_rate_of(day))
    body = realization(base, key, day, contracts[number % len(contracts)], [line])
    base.create(SETS[SALE], body)
    base.post(SETS[SALE], key)
    return key


def payments(base: Base) -> dict[str, tuple[str, str, float]]:
    """Money of the sales above by document: (date, counterparty, sum)."""
    acts = base.store.collection(TRUTH).values()
    found = {}
    for act in acts:
        if act["act"] in ("payment", "refund"):
            row = base.rows[act["set"]][act["document"]]
            found[act["document"]] = (row["Date"], row["Контрагент"], row["СуммаДокумента"])
    return found


def test_payments_depend_on_the_documents_and_not_on_how_time_is_cut() -> None:
    day = date(2026, 3, 2)
    once = base_of(3)
    often = base_of(3)
    for base in (once, often):
        for number in range(40):
            sold(base, number, day)
    quiet = Quiet()
    pass_days(once, date(2026, 8, 1), 90, quiet)
    for month in (4, 5, 6, 7, 8):
        pass_days(often, date(2026, month, 1), 30, quiet)
    assert payments(once) == payments(often)
    assert len(payments(once)) > 30
    before = len(once.rows[RECEIPT])
    pass_days(once, date(2026, 8, 1), 90, quiet)
    assert len(once.rows[RECEIPT]) == before, "what was entered is not entered again"


def test_every_way_of_paying_is_met_among_enough_documents() -> None:
    planned = {case.case: case for number in range(2000) for case in plan(f"document {number}")}
    assert set(planned) == {name for name, _ in PER_MILLE_OF_CASES} - {"unpaid"}
    assert sum(share for _, share in PER_MILLE_OF_CASES) == 1000
    assert not planned["no_reference"].reference
    assert planned["wrong_counterparty"].wrong_party


def test_two_instalments_add_up_to_the_kopeck() -> None:
    base = base_of(5)
    keys = [sold(base, number, date(2026, 3, 2)) for number in range(60)]
    pass_days(base, date(2026, 8, 1), 30, Quiet())
    parts: dict[str, Decimal] = {}
    for act in base.store.collection(TRUTH).values():
        if act.get("case") == "two_instalments":
            parts[act["realization"]] = parts.get(act["realization"], Decimal(0)) + Decimal(act["amount"])
    assert parts, "no sale of these is paid twice: choose other numbers"
    for key, paid in parts.items():
        assert key in keys
        assert paid == Decimal(str(base.rows[SALE][key]["СуммаДокумента"]))


@pytest.mark.parametrize("seed", range(5))
def test_open_items_are_what_the_entries_say_after_any_history(seed: int) -> None:
    rng = random.Random(seed)
    base = base_of(seed)
    keys = [sold(base, number, date(2026, 3, 2)) for number in range(30)]
    for step in range(60):
        key = keys[rng.randrange(len(keys))]
        act = rng.choice((base.post, base.unpost))
        if not base.rows[SALE][key].get("DeletionMark"):
            act(SETS[SALE], key)
        if step % 20 == 19:
            pass_days(base, date(2026, 3, 10 + step // 4), 5, rng)
    fresh = Ledger(base.store.collection("onec_entries"))
    codes = {entry.debit.account for _, _, entry in base.ledger.lines()}
    total = 0
    for code in codes | {"62.02"}:
        for counterparty, contract in contracts_by_owner(base).items():
            kept = base.ledger.open_items(code, counterparty, contract)
            assert dict(kept) == dict(fresh.open_items(code, counterparty, contract))
            total += sum(kept.values())
    debit = sum(e.kopecks for _, _, e in fresh.lines() if e.debit.account.startswith("62."))
    credit = sum(e.kopecks for _, _, e in fresh.lines() if e.credit.account.startswith("62."))
    assert total == debit - credit, f"seed {seed}"


class Quiet(random.Random):
    """Draws nothing: no correction happens."""

    def random(self) -> float:
        return 0.999999
