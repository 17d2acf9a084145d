"""`sverka hooks` as a person meets it: what it prints, what it serves, how it stops."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from mappings import load
from pipelines import hooks
from pipelines.company import DEMO_FOLDER
from pipelines.hooks import hearings
from pipelines.sync import Road
from resources.warehouse import Warehouse

DEAL = 66_248_935  # long, so that no port or stamp has it by chance
SECRET = "u7Qm2xZr9KpLw4Ta-s_Vd"
TOKEN = "51856fefc120afa4b628cc82d3935cce"
START_SECONDS = 60
STOP_SECONDS = 10
PROJECT = Path(__file__).parents[2]


def mapping_files(folder: Path, secret: str = SECRET, system: str = "bitrix24") -> Path:
    """The demo's mapping files, with a secret for webhooks in the connection of one system."""
    found = Path(shutil.copytree(DEMO_FOLDER, folder))
    path = found / f"{system}.yaml"
    added = f'connection:\n  hook_secret: "{secret}"\n'
    if system == "bitrix24":
        added += f'  application_token: "{TOKEN}"\n'
    path.write_text(path.read_text().replace("connection:\n", added, 1))
    return found


def variables(warehouse: Warehouse, home: Path, folder: Path) -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SVERKA_", "DAGSTER_"))},
        "SVERKA_MAPPINGS": str(folder),
        "SVERKA_DATABASE_URL": warehouse.url,
        "SVERKA_HOME": str(home),
        "SVERKA_HOOKS_URL": "https://hooks.example.ru/",
        "SVERKA_BITRIX24_URL": "https://shop.bitrix24.ru/rest/1/code/",
        "SVERKA_DROP_FOLDER": str(home),
        "NO_COLOR": "1",
    }


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", "hooks", *words]


@contextlib.contextmanager
def running(around: dict[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The receiver on a free port, and its address."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("--port", "0"), cwd=PROJECT, env=around, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + START_SECONDS
        while "enter at the vendors" not in (said := log.read_text()) and time.monotonic() < end:
            assert process.poll() is None, said
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        yield process, said.split("listening for webhooks at ")[1].split(";")[0]
    finally:
        process.kill()
        process.wait(STOP_SECONDS)


def bitrix24_webhook(number: int, token: str = TOKEN) -> bytes:
    said = {"event": "ONCRMDEALUPDATE", "data[FIELDS][ID]": number, "auth[application_token]": token}
    return urlencode(said).encode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_receives_until_it_is_stopped_and_tells_no_secret(
    number: signal.Signals, warehouse: Warehouse, tmp_path: Path
) -> None:
    around = variables(warehouse, tmp_path / "home", mapping_files(tmp_path / "mappings"))
    log = tmp_path / "log"
    with running(around, log) as (process, address):
        there = f"{address}/hooks/bitrix24/{SECRET}"
        answer = httpx.post(there, content=bitrix24_webhook(DEAL))
        assert (answer.status_code, answer.headers.get("server")) == (200, None)
        assert httpx.post(there, content=bitrix24_webhook(663, "forged")).status_code == 404
        assert httpx.post(f"{address}/hooks/bitrix24/wrong").status_code == 404
        assert httpx.post(f"{address}/hooks/onec/{SECRET}").status_code == 404
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0
    said = log.read_text()
    assert said.rstrip().endswith("stopped")
    assert "bitrix24:  https://hooks.example.ru/hooks/bitrix24/..." in said
    assert "does not prove where it comes from" in said
    assert "Traceback" not in said
    assert not any(secret in said for secret in (SECRET, TOKEN, str(DEAL)))
    assert warehouse.rows("select system, entity, ids from ops.hook") == [("bitrix24", "deal", [str(DEAL)])]


def refused(around: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        command(*words), cwd=PROJECT, env=around, capture_output=True, text=True, timeout=START_SECONDS
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_addresses_to_enter_are_printed_whole_only_when_asked_for(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    around = variables(warehouse, tmp_path / "home", mapping_files(tmp_path / "mappings"))
    done = subprocess.run(
        command("--show-addresses"),
        cwd=PROJECT,
        env=around,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.stdout == f"  bitrix24:  https://hooks.example.ru/hooks/bitrix24/{SECRET}\n"
    assert done.returncode == 0


def test_what_cannot_work_is_told_with_the_remedy(warehouse: Warehouse, tmp_path: Path) -> None:
    home = tmp_path / "home"
    plain = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "plain"))
    assert "no connected system has a hook_secret" in refused(variables(warehouse, home, plain))
    short = mapping_files(tmp_path / "short", secret="short")
    said = refused(variables(warehouse, home, short), "--port", "0")
    assert "bitrix24: the hook_secret of the connection must be 16 to 200 letters" in said
    deaf = mapping_files(tmp_path / "deaf", system="branch")
    said = refused(variables(warehouse, home, deaf), "--port", "0")
    assert "branch: the connector files hears no webhooks" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(variables(warehouse, home, mapping_files(tmp_path / "mine")), "--port", port)
    assert f"the port {port} of 127.0.0.1 cannot be used" in said
    assert "--port" in said


def test_an_empty_secret_is_none(tmp_path: Path) -> None:
    from mappings import load

    folder = mapping_files(tmp_path / "mappings", secret="${SVERKA_NOT_SET:-}")
    assert hooks.hearing_systems(load(folder, {}, connected=False)) == []


def test_a_system_that_cannot_be_heard_takes_the_webhooks_of_no_other(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = mapping_files(tmp_path / "mine")
    shutil.copy(DEMO_FOLDER.parent / "crm" / "zoho.yaml", folder)
    given = variables(warehouse, tmp_path, folder)
    given["SVERKA_ZOHO_HOOK_SECRET"] = SECRET[::-1]  # and nothing else of Zoho's
    with contextlib.closing(Road(warehouse, load(folder, given, connected=False))) as road:
        assert list(hearings(road)) == ["bitrix24"]
    assert "zoho is not heard" in caplog.text
    assert "SVERKA_ZOHO_CLIENT_ID" in caplog.text
    assert SECRET[::-1] not in caplog.text
