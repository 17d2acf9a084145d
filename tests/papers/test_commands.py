"""`sverka act`, `workbook` and `variance` as a person types them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.commands import papers, session, variance
from resources.warehouse import Warehouse
from tests.papers.firm import ROMASHKA

PERIOD = ("--from", "2026-01-01", "--to", "31.03.2026")


@pytest.fixture
def typed(own_firm: Warehouse, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command over the firm's own database."""

    @contextmanager
    def road(run_id: str = "") -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(warehouse=own_firm)

    for module in (papers, variance):
        monkeypatch.setattr(module, "road", road)
    monkeypatch.setattr(session.CONSOLE, "width", 200)
    return CliRunner()


def test_an_act_is_written_and_its_conclusion_told(
    typed: CliRunner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("act.xlsx", "act.pdf"):
        found = typed.invoke(app, ["act", ROMASHKA, *PERIOD, "--output", str(tmp_path / name)])
        assert found.exit_code == 0, found.output
        assert (tmp_path / name).stat().st_size > 5_000
    only = ["--organization", "Вторая", "--currency", "rub", "--language", "en"]
    found = typed.invoke(app, ["act", ROMASHKA, *PERIOD, "--output", str(tmp_path / "second.xlsx"), *only])
    assert found.exit_code == 0, found.output
    (tab,) = load_workbook(tmp_path / "second.xlsx").sheetnames
    assert tab == "RUB ООО «Вторая»"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["act", "7701000017", *PERIOD, "--output", "x.pdf"], "onec:romashka-branch"),
        (["act", "никто", *PERIOD, "--output", "x.pdf"], "не найдено"),
        (["act", ROMASHKA, *PERIOD, "--output", "x.doc"], ".xlsx или .pdf"),
        (
            ["act", ROMASHKA, *PERIOD, "--output", "x.pdf", "--currency", "GBP", "--language", "en"],
            "no currency GBP",
        ),
        (["act", ROMASHKA, *PERIOD, "--output", "x.pdf", "--contract", "Третий"], "Основной договор"),
        (
            ["act", ROMASHKA, "--from", "2026-04-01", "--to", "2026-03-01", "--output", "x.pdf"],
            "before it begins",
        ),
        (["workbook", "held", "--output", "x.xlsx", "--as-of", "2026-03-31"], "no past day"),
        (["workbook", "held", "--output", "x.csv"], ".xlsx"),
        (["variance", "show", "17"], "no variance 17"),
        (["variance", "accept", "17", "--by", "Anna", "--reason", "x"], "no variance 17"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence_and_writes_nothing(
    typed: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with session.CONSOLE.capture() as told:
        found = typed.invoke(app, arguments)
    assert found.exit_code == 1, found.output
    assert said in told.get()
    assert list(tmp_path.iterdir()) == []


def test_a_variance_is_listed_accepted_shown_and_opened_again(typed: CliRunner, own_firm: Warehouse) -> None:
    from pipelines.ledger.memory import remember_variances
    from tests.marts.company import ROUBLE, insert

    with own_firm.transaction() as conn:
        told = {
            "sentence": "See to it.",
            "sentence_ru": "Разберитесь.",
            "owner": "sales",
            "currency_key": ROUBLE,
        }
        insert(
            conn, "ledger.variance", told, "variance_key document_key measure reason counterparty_key amount",
            [("one", "R1", "realized", "amount", ROMASHKA, 10), ("two", "R2", "realized", "amount", ROMASHKA, -30)],
        )  # fmt: skip
        assert remember_variances(conn, "test") == (2, 0)
    number = own_firm.scalar("select number from ops.variance_memory where variance_key = 'one'")

    def said(*arguments: str) -> str:
        with session.CONSOLE.capture() as told:
            found = typed.invoke(app, ["variance", *arguments])
        assert found.exit_code == 0, (found.output, told.get())
        return " ".join(told.get().split())

    assert "Расхождения: 2" in said("list", "--language", "ru")
    assert "принято" in said("accept", str(number), "--by", "Анна", "--reason", "скидка", "--language", "ru")
    listed = said("list", "--counterparty", ROMASHKA)
    assert "realized RUB -20.00 10.00" in listed
    assert "Variances: 1" in said("list", "--status", "accepted")
    assert "Анна accepted 10.00" in said("show", str(number))
    assert "is open again" in said("reopen", str(number), "--by", "Борис", "--reason", "ошибка")
    assert "undone by Борис" in said("show", str(number))
    assert said("list", "--status", "resolved") == "No variance."


def test_a_workbook_is_written(typed: CliRunner, tmp_path: Path) -> None:
    found = typed.invoke(
        app, ["workbook", "ledger", "--output", str(tmp_path / "x.xlsx"), "--as-of", "2026-03-31"]
    )
    assert found.exit_code == 0, found.output
    sheet = load_workbook(tmp_path / "x.xlsx").worksheets[0]
    assert sheet.title == "31.03.2026 Settlements with buy"  # a tab has 31 characters
