"""The ready mapping files of 1C's configurations: as they stand, and with every marked part taken in."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from mappings import MappingError, System, load
from pipelines.shapes import fields_written
from resources.accounting.onec.connector import OneC
from resources.accounting.onec.profile import PROFILES, Profile

MAPPINGS = Path(__file__).parents[2] / "mappings"
SET = ("ONEC_URL", "ONEC_USER", "ONEC_PASSWORD", "BITRIX24_URL", "DROP_FOLDER")
ENVIRON = dict.fromkeys((f"SVERKA_{name}" for name in SET), "https://base/")
FILES = {"onec": "accounting_3", "onec_trade": "trade_11", "onec_small_firm": "small_firm"}

Opened = Callable[[str, bool], System]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    def open_file(name: str, marked: bool) -> System:
        folder = tmp_path / f"{name}_{marked}"
        folder.mkdir()
        for other in ("bitrix24", "branch"):
            crm = (MAPPINGS / "demo" / f"{other}.yaml").read_text(encoding="utf-8")
            owed = (
                "order" if name == "onec_trade" else "invoice"
            )  # trade enters invoices on the basis of orders
            crm = crm.replace("documents: [invoice", f"documents: [{owed}")
            (folder / f"{other}.yaml").write_text(crm, encoding="utf-8")
        text = (MAPPINGS / "accounting" / f"{name}.yaml").read_text(encoding="utf-8")
        if marked:
            text, parts = re.subn(r"^#: ?", "", text, flags=re.M)
            assert parts
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return load(folder, ENVIRON).accounting()

    return open_file


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_a_ready_file_is_right_and_its_profile_has_a_set_for_all_that_it_names(
    opened: Opened, name: str, marked: bool
) -> None:
    system = opened(name, marked)
    assert system.connection["profile"] == FILES[name]
    profile = Profile.read(PROFILES[FILES[name]])
    assert set(system.entities) <= set(profile.places)
    assert {rule.entity or kind for kind, rule in system.write.items()} <= set(profile.places)
    assert set(system.write) <= set(OneC.capabilities.writes)
    assert system.file.approval == "manual"  # a person looks at the first documents
    assert all(
        rule.policy["posted"]["*"] == "ask" for kind, rule in system.write.items() if kind == "realization"
    )


@pytest.mark.parametrize("name", FILES)
def test_user_and_password_of_a_base_have_no_default(opened: Opened, name: str, tmp_path: Path) -> None:
    opened(name, False)
    for lacking in ("SVERKA_ONEC_USER", "SVERKA_ONEC_PASSWORD"):
        with pytest.raises(MappingError, match=lacking):
            load(tmp_path / f"{name}_False", {key: value for key, value in ENVIRON.items() if key != lacking})


@pytest.mark.parametrize("name", FILES)
def test_rates_of_vat_change_with_their_days_and_lines_carry_them(opened: Opened, name: str) -> None:
    system = opened(name, True)
    rates = {rate.rate: (rate.value, str(rate.from_ or ""), str(rate.to or "")) for rate in system.file.vat}
    assert rates == {
        Decimal(20): ("НДС20", "", "2025-12-31"),
        Decimal(22): ("НДС22", "2026-01-01", ""),
        Decimal(10): ("НДС10", "", ""),
        Decimal(7): ("НДС7", "2025-01-01", ""),
        Decimal(5): ("НДС5", "2025-01-01", ""),
        Decimal(0): ("НДС0", "", ""),
        None: ("БезНДС", "", ""),
    }
    written = fields_written(system)["realization"]
    assert any(field.endswith("/СтавкаНДС") for field in written)


def test_corrections_say_what_was_and_returns_name_what_they_take_back(opened: Opened) -> None:
    written = fields_written(opened("onec", True))
    assert {"ДокументРеализации", "Товары/КоличествоДоИзменения", "Услуги/СуммаДоИзменения"} <= set(
        written["correction"]
    )
    assert {"Сделка", "Сделка_Type"} <= set(written["return"])
    assert "ДокументОснование" in written["vat_invoice"]
