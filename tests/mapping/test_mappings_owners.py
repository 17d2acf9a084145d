"""`owner`, `undone` and `policy` of a mapping file: what they may say, and which fields of the vendor follow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mappings import MappingError, Mappings, load, mapping_document
from mappings.owners import governed
from mappings.rules import settings
from tests.mapping.mapping_road import ENVIRON, MAPPINGS

INVOICE = "    entity: invoice\n    post: false\n"
SALE = "    entity: realization\n    post: true\n"
PARTY = "    entity: counterparty\n    fields:\n"


def reworded(folder: Path, old: str, new: str) -> Mappings:
    """The demo company's files with one place of accounting's reworded."""
    place = folder / "reworded"
    shutil.copytree(MAPPINGS / "demo", place)
    text = (place / "onec.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (place / "onec.yaml").write_text(text.replace(old, new), encoding="utf-8")
    return load(place, ENVIRON)


@pytest.mark.parametrize(
    ("old", "said", "says"),
    [
        (INVOICE, "    owner: {name: crm}\n", "`invoice` has no field `name`. There are: date, due_on"),
        (INVOICE, "    owner: {amount: crm}\n", "`amount` is the sum of `lines`: they change together"),
        (INVOICE, "    owner: {dates: crm}\n", "dates"),
        (INVOICE, "    owner: {date: sales}\n", "'crm', 'accounting' or 'state'"),
        (INVOICE, "    undone: {unposted: post}\n", "`invoice` is not posted (`post`)"),
        (INVOICE, "    undone: {deleted: post}\n", "'ask' or 'leave'"),
        (SALE, "    owner: {date: accounting}\n    policy: {draft: {date: update}}\n", "`date` is accounting's by then"),
        (SALE, "    owner: {date: state}\n    policy: {posted: {date: ask}}\n", "`date` is accounting's by then"),
        (SALE, "    policy: {posted: {counterparty: correction}}\n", "a correction says what it differs by, and names no other"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, old: str, said: str, says: str) -> None:
    with pytest.raises(MappingError) as caught:
        reworded(tmp_path, old, old + said)
    assert says in str(caught.value)
    assert "onec.yaml:" in str(caught.value)


def test_a_master_is_neither_posted_nor_undone(tmp_path: Path) -> None:
    with pytest.raises(MappingError) as caught:
        reworded(
            tmp_path,
            PARTY,
            PARTY.replace("    fields", "    owner: {name: state}\n    undone: {deleted: ask}\n    fields"),
        )
    assert "`counterparty` is never posted. Write crm or accounting" in str(caught.value)
    assert "`counterparty` is neither posted nor paid" in str(caught.value)


def test_a_policy_for_what_is_the_crms_while_it_is_a_draft_passes(tmp_path: Path) -> None:
    said = "    owner: {date: state, '*': crm}\n    policy: {draft: {date: update}, posted: {date: leave, amount: ask}}\n"
    found = reworded(tmp_path, SALE, SALE + said).accounting()
    assert settings(found)["owner_realization"] == {"date": "state", "*": "crm"}
    assert "undone_realization" not in settings(found)


def test_without_a_word_nobody_owns_anything() -> None:
    found = load(MAPPINGS / "demo", ENVIRON).accounting()
    assert not [name for name in settings(found) if name.startswith(("owner_", "undone_"))]


def test_every_field_governs_the_vendors_fields_that_are_made_from_it() -> None:
    file = load(MAPPINGS / "demo", ENVIRON).accounting().file
    sale = governed(file, "realization")
    assert sale["date"] == ("Date",)
    assert sale["amount"] == ("СуммаДокумента",)
    assert sale["currency"] == ("ВалютаДокумента_Key", "КурсВзаиморасчетов", "КратностьВзаиморасчетов")
    assert sale["lines"] == ("ВидОперации", "Товары", "Услуги")
    assert governed(file, "invoice")["due_on"] == ("СрокОплаты",)
    party = governed(file, "counterparty")
    assert party["name"] == ("Description", "НаименованиеПолное")
    assert set(party["tax_number"]) == {"ИНН", "НалоговыйНомер", "ЮридическоеФизическоеЛицо"}


def test_accountants_sign_whose_each_field_is(tmp_path: Path) -> None:
    found = reworded(
        tmp_path, SALE, SALE + "    owner: {date: accounting, '*': state}\n    undone: {unposted: post}\n"
    )
    assert (
        "Whose a field is once it is written: date: accounting's; all others: the CRM's until it is posted"
        in (mapping_document(found, "en"))
    )
    russian = mapping_document(found, "ru")
    assert (
        "Кто решает о поле после записи: дата: учёт; все прочие: до проведения CRM, после него учёт."
        in russian
    )
    assert (
        "проведение отменено: проводится снова; удалён или помечен на удаление: остаётся расхождением"
        in russian
    )
