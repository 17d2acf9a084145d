"""What `sverka payment` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from pipelines import cli
from pipelines.commands import payment as command
from pipelines.commands import show
from resources.warehouse import Connection
from tests.payments.books import owes, pays, refreshed

Say = Callable[..., Result]
BY = ("--by", "Анна", "--reason", "письмо")


@pytest.fixture
def say(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs `sverka payment ...` over a buyer who owes 100 and pays 130."""
    owes(ledger, "inv", 100, number="0000-000007")
    pays(ledger, "p", 130, purpose="За товар")
    refreshed(ledger, everything=True)

    @contextmanager
    def road() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(warehouse=SimpleNamespace(transaction=lambda: nullcontext(ledger)))

    console = Console(width=200, highlight=False, no_color=True)
    monkeypatch.setattr(command, "road", road)
    monkeypatch.setattr(command, "CONSOLE", console)
    monkeypatch.setattr(show, "CONSOLE", console)

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli.app, ["payment", *words])

    return run


def test_a_payment_is_listed_shown_decided_and_taken_back(say: Say) -> None:
    listed = say("list").stdout
    assert "Payments of which something is not allocated: 1" in listed
    assert "30.00" in listed
    shown = say("show", "p", "--language", "ru").stdout
    assert "документ не назван" in shown
    assert "0000-000007" in shown
    done = say("allocate", "p", "0000-000007", "--amount", "40,00", *BY)
    assert done.exit_code == 0
    assert "p of 01.04.2026 pays 40.00 of 0000-000007 (inv)" in done.stdout
    decided = say("list", "--decided").stdout
    assert "Анна" in decided
    number = next(part for part in decided.replace("│", " ").split() if part.isdigit())
    undone = say("undo", number, *BY, "--language", "ru").stdout
    assert f"решение {number} о p отменено" in undone


def test_what_is_wrong_is_said_and_is_an_error(say: Say) -> None:
    refused = say("allocate", "p", "nothing", *BY)
    assert refused.exit_code == 1
    assert "nothing that buyers owe is called nothing" in refused.stdout
    assert say("allocate", "p", *BY).exit_code == 2
    assert say("allocate", "p", "inv", "--amount", "much", *BY).exit_code == 2
    assert say("allocate", "p", "inv", "--none", *BY).exit_code == 2
    assert say("show", "q", "--language", "ru").exit_code == 1


def test_the_score_says_that_it_may_not_decide(say: Say) -> None:
    told = say("calibrate").stdout
    assert "Of 0 payments whose document is known" in told
    assert "the score allocates nothing, it only proposes" in told
