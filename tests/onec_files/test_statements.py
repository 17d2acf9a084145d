"""Bank statements become payments once, and a statement that cannot be trusted gives none."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.accounting.onec_files import BankStatements, connect
from resources.connector import Page, Record, SourceError
from tests.onec_files.town import NOW, PARTY, Town, key, known

OURS, PAYER, PAYEE = "40702810000000000001", "40702810000000000002", "40702978000000000003"
UNTIL = datetime(2026, 3, 6, tzinfo=UTC)


def receipt(
    number: str = "101", amount: str = "1220.10", on: str = "04.03.2026", **more: str
) -> dict[str, str]:
    return {
        "Номер": number, "Дата": "03.03.2026", "Сумма": amount, "ПлательщикСчет": PAYER, "ДатаСписано": "",
        "Плательщик": 'ИНН 7707083893 ООО "Ромашка"', "ПлательщикИНН": "7707083893", "ПлательщикКПП": "770701001",
        "ПолучательСчет": OURS, "ДатаПоступило": on, "Получатель": "Наша фирма",
        "НазначениеПлатежа": "Оплата по счету 17, в т.ч. НДС 20% - 203.35", **more,
    }  # fmt: skip


def outgoing(number: str = "5", amount: str = "200.00", on: str = "04.03.2026") -> dict[str, str]:
    return {
        "Номер": number, "Дата": on, "Сумма": amount, "ПлательщикСчет": OURS, "ДатаСписано": on,
        "ПолучательСчет": PAYEE, "Получатель1": "ООО Склад", "ПолучательИНН": "7701234567", "ДатаПоступило": "",
    }  # fmt: skip


def statement(
    *documents: dict[str, str],
    received: str = "1220.10",
    spent: str = "200.00",
    closing: str = "2020.10",
    **head: str,
) -> str:
    lines = ["1CClientBankExchange", "ВерсияФормата=1.03", "Кодировка=Windows", "ДатаНачала=04.03.2026"]
    lines += [f"{name}={value}" for name, value in head.items()]
    lines += ["ДатаКонца=04.03.2026", f"РасчСчет={OURS}", "СекцияРасчСчет", "ДатаНачала=04.03.2026"]
    lines += [
        "ДатаКонца=04.03.2026",
        f"РасчСчет={OURS}",
        "НачальныйОстаток=1000.00",
        f"ВсегоПоступило={received}",
    ]
    lines += [f"ВсегоСписано={spent}", f"КонечныйОстаток={closing}", "КонецРасчСчет"]
    for document in documents:
        lines += [
            "СекцияДокумент=Платежное поручение",
            *(f"{k}={v}" for k, v in document.items()),
            "КонецДокумента",
        ]
    return "\r\n".join([*lines, "КонецФайла", ""])


GOOD = statement(receipt(), outgoing())


def drop(folder: Path, text: str | bytes, name: str = "kl_to_1c.txt", age: float = 60) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("cp1251"))
    os.utime(path, (NOW - age, NOW - age))
    return path


def bank(folder: Path) -> BankStatements:
    return BankStatements("bank", folder, clock=lambda: NOW)


def pages(source: BankStatements) -> list[Page]:
    return list(source.read(["payment"], None, UNTIL))


def records(folder: Path) -> list[Record]:
    return [record for page in pages(bank(folder)) for record in page.records]


def payload(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(record.payload)
    return body


def test_receipts_and_outgoing_payments_are_read_with_payer_purpose_day_and_amount(tmp_path: Path) -> None:
    drop(tmp_path, GOOD)
    first, second = records(tmp_path)
    assert first.source_id == f"{OURS}:2026-03-04:101:1220.10:{PAYER}:receipt"
    body = payload(first)
    assert (body["Направление"], body["ДатаОперации"], body["СуммаОперации"]) == (
        "receipt",
        "2026-03-04",
        "1220.10",
    )
    assert (body["КонтрагентИНН"], body["КонтрагентКПП"], body["КонтрагентСчет"]) == (
        "7707083893",
        "770701001",
        PAYER,
    )
    assert body["Назначение"] == "Оплата по счету 17, в т.ч. НДС 20% - 203.35"
    assert body["КодВалюты"] == "643"
    body = payload(second)
    assert (body["Направление"], body["КонтрагентНаименование"]) == ("outgoing", "ООО Склад")


@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("named", ["Windows", "DOS"])
def test_the_encoding_is_found_whatever_the_file_says_of_it(
    tmp_path: Path, encoding: str, named: str
) -> None:
    drop(tmp_path, GOOD.replace("Windows", named).encode(encoding))
    assert payload(records(tmp_path)[0])["Плательщик"] == 'ИНН 7707083893 ООО "Ромашка"'


def test_a_purpose_of_several_lines_stays_whole(tmp_path: Path) -> None:
    drop(tmp_path, statement(receipt(НазначениеПлатежа="Оплата\r\nпо счету 17"), outgoing()))
    assert payload(records(tmp_path)[0])["Назначение"] == "Оплата\nпо счету 17"


@pytest.mark.parametrize(
    "lines",
    [
        "Оплата\nДоговор=5\nСумма=9.99\nНДС",  # a key that the format lacks, and one that is given already
        "Оплата\nДоговор = 5",
        "Оплата\nСумма=1.00\nСумма=2.00",
    ],
)
def test_a_line_of_a_purpose_that_looks_like_a_key_is_the_purposes(tmp_path: Path, lines: str) -> None:
    drop(tmp_path, statement(receipt(НазначениеПлатежа=lines.replace("\n", "\r\n")), outgoing()))
    body = payload(records(tmp_path)[0])
    assert body["Назначение"] == lines
    assert body["Сумма"] == body["СуммаОперации"] == "1220.10"
    assert "Договор" not in body


def test_keys_behind_a_purpose_stay_keys_and_the_last_one_holds(tmp_path: Path) -> None:
    told = receipt(НазначениеПлатежа="Оплата\r\nСумма=9.99")
    last = {name: told.pop(name) for name in ("Сумма", "ПлательщикИНН")}
    drop(tmp_path, statement({**told, **last, "Очередность": "5", "КодБанка": "7"}, outgoing()))
    body = payload(records(tmp_path)[0])
    assert (body["Назначение"], body["СуммаОперации"]) == ("Оплата\nСумма=9.99", "1220.10")
    assert (body["КонтрагентИНН"], body["Очередность"], body["КодБанка"]) == ("7707083893", "5", "7")


def test_separators_of_lines_that_are_none_in_the_format_stay_in_the_purpose(tmp_path: Path) -> None:
    drop(tmp_path, GOOD.replace("в т.ч. НДС", "в т.ч.\u2028Сумма=1\x85НДС").encode())
    assert payload(records(tmp_path)[0])["Назначение"].startswith(
        "Оплата по счету 17, в т.ч.\u2028Сумма=1\x85НДС"
    )


@pytest.mark.parametrize("end", [b"\x1a", b"\x1a\r\n", b"\x00", b"\x00\x00\r\n", b"\r\n\x1a"])
@pytest.mark.parametrize("encoding", ["cp866", "cp1251", "utf-8"])
def test_a_file_may_end_as_dos_ends_a_text(tmp_path: Path, encoding: str, end: bytes) -> None:
    drop(tmp_path, GOOD.encode(encoding) + end)
    assert len(records(tmp_path)) == 2


def test_two_statements_in_one_file_stay_apart_however_the_first_ends(tmp_path: Path) -> None:
    drop(tmp_path, GOOD.encode("cp866") + b"\x1a" + GOOD.encode("cp866") + b"\x1a")
    (page,) = pages(bank(tmp_path))
    assert "two files in one" in page.rejects[0].reason


@pytest.mark.parametrize(("encoding", "broken"), [("cp1251", b"\x98"), ("utf-8", b"\xd0")])
def test_a_letter_that_cannot_be_read_costs_the_letter_and_is_told(
    tmp_path: Path, encoding: str, broken: bytes
) -> None:
    drop(tmp_path, GOOD.replace("в т.ч.", "в @т.ч.").encode(encoding).replace(b"@", broken))
    first, second = (payload(record) for record in records(tmp_path))
    assert first["Назначение"] == "Оплата по счету 17, в \ufffdт.ч. НДС 20% - 203.35"
    assert first["_unread"].startswith("НазначениеПлатежа: letters that no encoding gives")
    assert "_unread" not in second
    (finding,) = bank(tmp_path).check()
    assert "in 1 of them letters cannot be read" in finding.message


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("ПлательщикИНН=77@", "ПлательщикИНН of the section"),
        ("Плате@льщикИНН=77", "begins with letters that cannot be read"),
    ],
)
def test_a_letter_that_cannot_be_read_where_it_decides_sets_the_file_apart(
    tmp_path: Path, where: str, told: str
) -> None:
    drop(tmp_path, GOOD.replace("ПлательщикИНН=77", where).encode("cp1251").replace(b"@", b"\x98"))
    (page,) = pages(bank(tmp_path))
    assert page.records == ()
    assert told in page.rejects[0].reason


def test_overlapping_and_dropped_again_statements_make_each_payment_once(tmp_path: Path) -> None:
    drop(tmp_path, GOOD)
    drop(tmp_path, GOOD, "again.txt")
    drop(
        tmp_path,
        statement(receipt(), receipt("102", "10.00"), outgoing(), received="1230.10", closing="2030.10"),
        "2.txt",
    )
    found = {record.source_id for record in records(tmp_path)}
    assert len(found) == 3


def test_two_truly_equal_payments_of_one_statement_are_two_and_stay_two(tmp_path: Path) -> None:
    twice = statement(receipt(), receipt(), outgoing(), received="2440.20", closing="3240.20")
    drop(tmp_path, twice)
    drop(tmp_path, twice, "again.txt")
    name = f"{OURS}:2026-03-04:101:1220.10:{PAYER}:receipt"
    assert {r.source_id for r in records(tmp_path)} >= {name, f"{name}#2"}
    assert len({r.source_id for r in records(tmp_path)}) == 3


def test_an_order_that_the_bank_has_not_executed_is_no_payment(tmp_path: Path) -> None:
    drop(tmp_path, statement(receipt(), outgoing(), {**outgoing("6"), "ДатаСписано": ""}))
    assert len(records(tmp_path)) == 2


def test_a_transfer_between_our_own_accounts_has_both_its_sides(tmp_path: Path) -> None:
    own = {**receipt(), "ПлательщикСчет": PAYER, "ДатаСписано": "04.03.2026"}
    text = statement(own, outgoing()).replace("СекцияРасчСчет", f"РасчСчет={PAYER}\r\nСекцияРасчСчет", 1)
    drop(tmp_path, text)
    assert [payload(r)["Направление"] for r in records(tmp_path)] == ["outgoing", "receipt", "outgoing"]


BAD = {
    "balances": (GOOD.replace("КонечныйОстаток=2020.10", "КонечныйОстаток=2020.11"), "do not add up"),
    "turnover": (statement(outgoing()), "ВсегоПоступило is 1220.10, and the payments of the file come to 0"),
    "spent": (statement(receipt()), "ВсегоСписано is 200.00, and the payments of the file come to 0"),
    "cut": (GOOD[: len(GOOD) // 2], r"its end \(КонецФайла\) is missing"),
    "end cut": (GOOD.replace("КонецФайла\r\n", ""), r"its end \(КонецФайла\) is missing"),
    "unclosed": (GOOD.replace("КонецДокумента\r\n", "", 1), "has no КонецДокумента"),
    "two in one": (GOOD + GOOD, "two files in one"),
    "foreign": ("Дата;Сумма\r\n1;2\r\n", "another kind of file"),
    "sum": (GOOD.replace("Сумма=1220.10", "Сумма=1 220.10"), "not a sum like 1200.50"),
    "negative": (GOOD.replace("Сумма=1220.10", "Сумма=-1220.10"), "is negative"),
    "day": (GOOD.replace("ДатаПоступило=04.03.2026", "ДатаПоступило=31.02.2026"), "not one like 05.03.2026"),
    "nobody's": (GOOD.replace(f"ПолучательСчет={OURS}", f"ПолучательСчет={PAYEE}"), "on neither side an account"),
    "no number": (GOOD.replace("Номер=101", "Номер="), "has no Номер"),
    "no account": ("1CClientBankExchange\r\nВерсияФормата=1.03\r\nКонецФайла\r\n", "names no account of ours"),
    "empty": ("", "it is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_statement_that_cannot_be_trusted_is_set_apart_with_a_sentence(tmp_path: Path, name: str) -> None:
    text, told = BAD[name]
    drop(tmp_path, text)
    drop(tmp_path, GOOD, "good.txt", age=30)
    bad, good = pages(bank(tmp_path))
    assert bad.records == ()
    (apart,) = bad.rejects
    assert apart.place == "kl_to_1c.txt"
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(apart.reason)
    assert len(good.records) == 2


def test_a_statement_in_letters_that_no_encoding_gives_is_set_apart(tmp_path: Path) -> None:
    drop(tmp_path, GOOD.encode("koi8-r"))
    (page,) = pages(bank(tmp_path))
    assert "neither as UTF-8 nor as Windows-1251 nor as DOS 866" in page.rejects[0].reason


def test_a_statement_that_is_being_written_waits(tmp_path: Path) -> None:
    drop(tmp_path, GOOD[:300], age=1)
    with pytest.raises(SourceError, match="written a moment ago") as told:
        pages(bank(tmp_path))
    assert told.value.retriable
    drop(tmp_path, GOOD)
    assert len(records(tmp_path)) == 2


def test_uploads_under_way_and_lock_files_are_passed_over(tmp_path: Path) -> None:
    drop(tmp_path, "half", ".kl_to_1c.txt")
    drop(tmp_path, "half", "~kl_to_1c.txt")
    assert pages(bank(tmp_path)) == []


def test_only_files_that_came_since_are_read_again(tmp_path: Path) -> None:
    drop(tmp_path, GOOD)
    assert list(bank(tmp_path).read(["payment"], datetime.now(UTC).replace(year=2099), UNTIL)) == []
    assert [c.source_id for c in bank(tmp_path).changes(datetime(2020, 1, 1, tzinfo=UTC))] == ["kl_to_1c.txt"]


def test_a_folder_of_statements_alone_is_a_source_of_payments(tmp_path: Path) -> None:
    drop(tmp_path, GOOD)
    source = connect("bank", {"statements": str(tmp_path)})
    assert isinstance(source, BankStatements)
    assert [entity.name for entity in source.capabilities.entities] == ["payment"]
    assert source.capabilities.writes == ()
    (finding,) = source.check()
    assert finding.ok
    assert "2 payments" in finding.message


def test_beside_a_base_payments_come_from_statements_and_know_the_counterparty_by_its_numbers(
    tmp_path: Path,
) -> None:
    bank_folder = tmp_path / "bank"
    bank_folder.mkdir()
    town = Town(tmp_path, options={"statements": bank_folder})
    known(town)
    town.base.put(
        "Документ.ПБДСРасчетыСКонтрагентами", key("money"), {"КлючевыеСвойства": {"Ссылка": key("money")}}
    )
    town.run()
    drop(bank_folder, GOOD)
    found = [r for page in town.ours.read(["payment"], None, UNTIL) for r in page.records]
    assert key("money") not in {r.source_id for r in found}
    assert payload(found[0])["КонтрагентСсылка"] == PARTY
    assert payload(found[0])["ВалютаСсылка"] == "00000000-0000-4000-8000-000000000002"
    assert payload(found[1])["КонтрагентСсылка"] == ""
    town.ours.close()
