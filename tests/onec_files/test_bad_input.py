"""Files that cannot be trusted change nothing, and the message says what to do."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.accounting.onec_files import connect
from resources.accounting.onec_files.settings import Settings
from resources.accounting.onec_files.xml import XmlError, parse
from resources.connector import SourceError
from tests.onec_files.town import FIRM, PARTY, Town, counterparty

UNTIL = datetime(2026, 3, 6, tzinfo=UTC)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    made.base.opening()
    made.run()
    yield made
    made.ours.close()


def written(town: Town, content: bytes, name: str = "Message_БП_СВ.xml", age: float = 60) -> None:
    path = town.exchange / name
    path.write_bytes(content)
    os.utime(path, (town.now - age, town.now - age))


def present(town: Town) -> bytes:
    return (town.exchange / "Message_БП_СВ.xml").read_bytes()


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    b"<Message>&c;</Message>"
)
OUTSIDE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><Message>&x;</Message>'
NO_CONFIRMATION = (
    b'<Message xmlns:msg="http://www.1c.ru/SSL/Exchange/Message"><msg:Header>'
    b"<msg:Format>http://v8.1c.ru/edi/edi_stnd/EnterpriseData/1.8</msg:Format></msg:Header></Message>"
)


def changed(old: str, new: str) -> Any:
    return lambda content: content.decode().replace(old, new).encode()


BAD: dict[str, tuple[Any, str]] = {
    "cut": (lambda c: c[: len(c) // 2], r"ends in the middle|no well-formed XML"),
    "cut in a tag": (lambda c: c[:-5], "ends in the middle"),
    "empty": (lambda c: b"", "it is empty"),
    "wrong encoding": (lambda c: c.decode().encode("cp1251"), "cannot be read in the encoding that the file names"),
    "unknown encoding": (changed('encoding="UTF-8"', 'encoding="x-odd"'), "encoding"),
    "not XML": (lambda c: b"Message 1", "no well-formed XML|cannot be read|ends in the middle"),
    "bomb": (lambda c: BOMB, r"declares a document type \(a\)"),
    "entity from outside": (lambda c: OUTSIDE, r"declares a document type \(a\)"),
    "of another base": (changed("<msg:From>БП", "<msg:From>УТ"), "it is from 'УТ' to 'СВ', not from 'БП' to 'СВ'"),
    "for another": (changed("<msg:To>СВ", "<msg:To>ЦБ"), "it is from 'БП' to 'ЦБ'"),
    "another format": (changed("edi_stnd/EnterpriseData", "edi_stnd/Other"), "not EnterpriseData"),
    "another root": (lambda c: b"<data/>", "begins with data and is no message"),
    "saved by hand": (lambda c: NO_CONFIRMATION, "has no Confirmation"),
    "no number": (changed("<msg:MessageNo>1<", "<msg:MessageNo>one<"), "MessageNo is 'one', not a number"),
    "deep": (lambda c: b"<a>" * 100 + b"</a>" * 100, "nests deeper than 64"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_changes_nothing_and_is_told_and_a_good_one_after_it_is_taken(
    town: Town, name: str
) -> None:
    spoil, told = BAD[name]
    good = present(town)
    written(town, spoil(good))
    with pytest.raises(SourceError, match=told) as raised:
        list(town.ours.read(["organization"], None, UNTIL))
    assert "Message_БП_СВ.xml" in str(raised.value)
    assert not raised.value.retriable
    assert town.ours.journal.number("received") == 0
    assert town.ours.journal.count("organization") == 0
    assert any(not finding.ok and finding.remedy for finding in town.ours.check())
    written(town, good)
    (page,) = town.ours.read(["organization"], None, UNTIL)
    assert [record.source_id for record in page.records] == [FIRM]


def test_a_message_that_is_still_being_written_waits_for_its_end(town: Town) -> None:
    good = present(town)
    written(town, good[:-300], age=1)
    with pytest.raises(SourceError, match="the next read takes it when it is whole") as raised:
        town.ours.exchange.take()
    assert raised.value.retriable
    written(town, good, age=0)
    town.ours.exchange.take()
    assert town.ours.journal.number("received") == 1


def test_a_message_dropped_again_is_no_news(town: Town) -> None:
    town.ours.exchange.take()
    ours = town.message()
    written(town, present(town), age=0)
    town.ours.exchange.take()
    assert town.message() == ours


def test_a_lower_number_with_other_contents_is_told_and_changes_nothing(town: Town) -> None:
    old = present(town)
    town.run()
    town.ours.exchange.take()
    written(town, old.replace("Наша фирма".encode(), "Чужая фирма".encode()))
    with pytest.raises(SourceError, match="it is message 1, and 2 was taken before: the base was restored"):
        town.ours.exchange.take()
    (page,) = list(town.ours.journal.everything("organization", None))
    assert page[0].body["КлючевыеСвойства/Наименование"] == "Наша фирма ООО"


def test_numbers_may_skip_since_every_message_holds_what_is_unconfirmed(town: Town) -> None:
    for _ in range(5):
        town.base.send()
    town.settled()
    town.ours.exchange.take()
    assert town.ours.journal.number("received") == 6


def test_a_packed_message_is_taken_and_a_bad_archive_told(town: Town) -> None:
    content = present(town)
    (town.exchange / "Message_БП_СВ.xml").unlink()
    packed = town.exchange / "Message_БП_СВ.zip"
    written(town, b"PK\x03\x04 no archive", packed.name)
    with pytest.raises(SourceError, match="the archive cannot be unpacked"):
        town.ours.exchange.take()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Message_БП_СВ.xml", content)
    town.settled()
    town.ours.exchange.take()
    assert town.ours.journal.number("received") == 1


def test_an_object_of_another_kind_is_passed_over(town: Town) -> None:
    town.base.put("Справочник.Должности", PARTY, {"КлючевыеСвойства": {"Ссылка": PARTY}})
    town.run()
    town.ours.exchange.take()
    assert town.ours.journal.count("organization") == 1


def test_a_folder_that_is_not_there_is_told(town: Town) -> None:
    town.exchange.rename(town.folder / "away")
    with pytest.raises(SourceError, match="does not exist or may not be read; create it"):
        list(town.ours.read(["counterparty"], None, UNTIL))
    finding = town.ours.check()[0]
    assert not finding.ok
    assert "create it" in finding.remedy


def test_check_tells_numbers_what_waits_and_a_version_that_the_base_does_not_read(town: Town) -> None:
    town.ours.exchange.take()
    town.ours.create("counterparty", PARTY, counterparty())
    told = {finding.subject: finding.message for finding in town.ours.check()}
    assert told["messages"] == "taken up to 1; sent up to 2, confirmed up to 0"
    assert told["under way"] == "1 records wait for the base to confirm them"
    town.options = {"version": "1.10"}
    finding = next(finding for finding in town.reopen().check() if finding.subject == "format")
    assert not finding.ok
    assert "does not read EnterpriseData 1.10, only 1.6, 1.8" in finding.message


BASE = {"exchange": "x", "state": "s", "us": "СВ", "base": "БП"}


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        ({}, "name a folder"),
        ({"exchange": "x"}, "lacks `state`"),
        ({"exchange": "x", "state": "s"}, "`us` and `base` are the codes"),
        ({**BASE, "folder": "x"}, "has no option folder"),
        ({**BASE, "version": "2"}, "has versions like 1.8"),
        ({**BASE, "commerceml_version": "3.1"}, "there are 2.02"),
        ({**BASE, "timezone": "Moscow"}, "no IANA time zone"),
        ({**BASE, "read_back": "later"}, "it is told or confirmed"),
        ({**BASE, "payments": "both"}, "it is base or statements"),
    ],
)
def test_a_connection_that_cannot_be_right_is_told(connection: dict[str, Any], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        Settings.read("books", connection)


def test_a_state_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(SourceError, match=r"the folder `state` .* cannot be used"):
        connect("books", {**BASE, "exchange": str(tmp_path), "state": str(tmp_path / "state")})


def test_a_text_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.accounting.onec_files.xml.MAX_BYTES", 10)
    with pytest.raises(XmlError, match="larger than"):
        parse(b"<a>0123456789</a>")
