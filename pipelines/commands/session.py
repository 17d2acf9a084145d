"""What every command needs before it works: the home, the database, Dagster's settings, the demo's addresses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from pipelines.company import DEMO_FOLDER, foreign_address, mappings_folder
from pipelines.processes import ProcessError, Processes, line_ready, write_dagster_home
from pipelines.sync import Road
from resources import postgres
from resources.warehouse import Warehouse, home_folder

FILE_WIDTH: Final = 200
# A file has no width; the 80 columns that are taken for it otherwise cut every table into ribbons.
CONSOLE: Final = Console(
    highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else FILE_WIDTH
)
MARK: Final = "simulated"  # in a home that a demonstration made; holds which one
SANDBOX_SECONDS: Final = 60.0
SANDBOX_ANSWER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox and how to talk to it."""

    url: str
    info: Mapping[str, Any]

    def control(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """POST to its control panel (GET without a body)."""
        with httpx.Client(timeout=300) as client:
            address = f"{self.url}/control/{path}"
            answer = client.get(address) if body is None else client.post(address, json=dict(body))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def is_demo() -> bool:
    return Path(os.path.realpath(mappings_folder())) == DEMO_FOLDER


def claim(home: Path, maker: str) -> None:
    """Make an empty or absent home that of a demonstration (`demo`, `real`), which it may later throw away.

    Raises ProcessError for a home that holds anything else.
    """
    with postgres.explained(home):
        home.mkdir(parents=True, exist_ok=True)
        made_by = _made_by(home)
        if not made_by and not any(home.iterdir()):
            (home / MARK).write_text(maker)
            return
    if made_by != maker:
        raise ProcessError(
            f"{home} holds what `sverka {maker}` did not make, and it touches nothing else; "
            "unset SVERKA_HOME, or set it to an empty folder"
        )


def forget(home: Path) -> None:
    """Throw away what a demonstration left in its home. Raises ProcessError for a home that none made."""
    if not _made_by(home):
        raise ProcessError(f"{home} was made by no demonstration; nothing of it is thrown away")
    postgres.stop_server(home)
    for name in ("postgres", "sandbox", "drop", "dagster", "mappings", "report", "sandbox.json"):
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _made_by(home: Path) -> str:
    mark = home / MARK
    return mark.read_text().strip() if mark.is_file() else ""


def _right_home(home: Path) -> None:
    """The demo company's records lie in a home of its own, and nobody's own in one that a demo throws away."""
    if is_demo():
        claim(home, "demo")
    elif _made_by(home) and not Path(os.path.realpath(mappings_folder())).is_relative_to(home):
        raise ProcessError(
            f"{home} was made by `sverka {_made_by(home)}`, which throws it away; "
            "set SVERKA_HOME to a folder of your company's own"
        )


@contextlib.contextmanager
def database(home: Path | None = None) -> Iterator[Warehouse]:
    """The warehouse of `SVERKA_DATABASE_URL`, or the embedded one of the home, stopped again if we started it."""
    place = home or home_folder()
    given = os.environ.get("SVERKA_DATABASE_URL", "").strip()
    if (sentence := foreign_address(mappings_folder())) is not None:
        raise ProcessError(sentence)
    place.mkdir(parents=True, exist_ok=True)
    if not given:
        _right_home(place)
    os.environ["SVERKA_HOME"] = str(place)
    with contextlib.ExitStack() as stack:
        url = given or stack.enter_context(postgres.server(place))
        os.environ["SVERKA_DATABASE_URL"] = url
        if not given:
            stack.callback(os.environ.pop, "SVERKA_DATABASE_URL", None)
        warehouse = Warehouse(url)
        warehouse.migrate()
        os.environ["DAGSTER_HOME"] = str(write_dagster_home(place, warehouse.dagster_url()))
        recall_sandbox(place)
        yield warehouse


@contextlib.contextmanager
def road(run_id: str = "") -> Iterator[Road]:
    """The company's road, its schema and rules up to date."""
    from pipelines import sync

    with database():
        found = Road.from_environment(run_id)
        try:
            sync.prepare(found)
            yield found
        finally:
            found.close()


def start_sandbox(processes: Processes, home: Path, *options: str) -> Sandbox:
    """Start the vendors' stand-in with its state in the home, and set the addresses that mappings name."""
    state = home / "sandbox"
    child = processes.start(
        "sandbox",
        [sys.executable, "-m", "sandbox", "--port", "0", "--state", str(state), *options],
        ready=line_ready("sandbox ready"),
        ready_seconds=SANDBOX_SECONDS,
    )
    url = child.said().rsplit("sandbox ready", 1)[1].split()[0]
    info = httpx.get(f"{url}/control/info", timeout=30).json()
    addresses = {
        "SVERKA_BITRIX24_URL": info["bitrix24"]["webhook"],
        "SVERKA_ONEC_URL": info["onec"]["odata"],
        "SVERKA_ONEC_USER": info["onec"]["user"],
        "SVERKA_ONEC_PASSWORD": info["onec"]["password"],
        "SVERKA_ONEC_ALLOW_HTTP": "1",
        "SVERKA_DROP_FOLDER": str(home / "drop"),
    }
    (home / "drop").mkdir(exist_ok=True)
    kept = home / "sandbox.json"
    kept.touch(mode=0o600)
    kept.write_text(json.dumps({"url": url, "addresses": addresses}))
    os.environ.update(addresses)
    return Sandbox(url, info)


@contextlib.contextmanager
def writing(output: Path, option: str = "--output") -> Iterator[TextIO]:
    """The file that a command was told to write. Raises ProcessError where that cannot be."""
    try:
        file = output.open("w", encoding="utf-8")
    except OSError as error:
        raise ProcessError(
            f"{output} cannot be written ({error.strerror}); name another file with {option}"
        ) from error
    with file:
        yield file


def need_sandbox() -> None:
    """The demo company's systems must run for whatever asks them. Raises ProcessError, with the remedy."""
    if (sentence := sandbox_trouble()) is not None:
        raise ProcessError(sentence)


def sandbox_trouble() -> str | None:
    """What to do where the demo company's systems do not run."""
    if not is_demo():
        return None
    address = urlsplit(os.environ.get("SVERKA_BITRIX24_URL", ""))
    with socket.socket() as probe:
        probe.settimeout(SANDBOX_ANSWER_SECONDS)
        if address.hostname and probe.connect_ex((address.hostname, address.port or 443)) == 0:
            return None
    return (
        "the demo company's Bitrix24 and 1C do not run; start them with `make up` in another window, "
        "or name your own systems in SVERKA_MAPPINGS"
    )


def recall_sandbox(home: Path) -> None:
    """Addresses of the sandbox that ran last in this home: the demo company knows no other systems."""
    kept = home / "sandbox.json"
    if is_demo() and kept.exists():
        os.environ.update(json.loads(kept.read_text())["addresses"])
    os.environ.setdefault("SVERKA_DROP_FOLDER", str(home / "drop"))
