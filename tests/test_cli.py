"""The `sverka` command as a person meets it: how it stops, and what it says when it cannot work."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console
from typer.testing import CliRunner

from mappings import load
from pipelines import cli
from pipelines.commands import demo, session, show, work
from pipelines.commands.run import Ran
from pipelines.commands.session import Sandbox
from pipelines.company import DEMO_ADDRESSES, DEMO_FOLDER, foreign_address
from pipelines.processes import ProcessError
from pipelines.sync import Road
from resources import warehouse as store
from resources.connector import Finding, SourceError
from resources.warehouse import Warehouse

BOUND_SECONDS = 90
COMMAND = [sys.executable, "-m", "pipelines.cli"]
PROJECT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of this test's own, and nothing of the machine's settings; commands set variables of their own."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("SVERKA_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ |= {"SVERKA_HOME": str(tmp_path / "home"), "COLUMNS": "200", "NO_COLOR": "1"}
    yield
    os.environ.clear()
    os.environ.update(before)


# --- stopping


@contextlib.contextmanager
def silent_portal() -> Iterator[tuple[str, threading.Event]]:
    """An address that takes requests and never answers; the event is set when somebody asked."""
    asked = threading.Event()
    kept: list[socket.socket] = []

    def listen(connection: socket.socket) -> None:
        if connection.recv(1):
            asked.set()

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return
                threading.Thread(target=listen, args=[kept[-1]], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in kept:
                connection.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sync_that_is_stopped_says_one_line_and_its_run_is_canceled(
    warehouse: Warehouse, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with silent_portal() as (address, asked):
        environ = {
            "SVERKA_DATABASE_URL": warehouse.url,
            "SVERKA_BITRIX24_URL": f"{address}/rest/1/secret/",
            "SVERKA_ONEC_URL": f"{address}/odata/",
            "SVERKA_ONEC_USER": "u",
            "SVERKA_ONEC_PASSWORD": "p",
            "SVERKA_ONEC_ALLOW_HTTP": "1",
        }
        process = start(["sync"], tmp_path, environ)
        assert asked.wait(BOUND_SECONDS), said(tmp_path)
        family = [process, *process_of(process).children(recursive=True)]
        began = time.monotonic()
        os.killpg(process.pid, number)  # as a terminal and make do
        assert process.wait(BOUND_SECONDS) == code, said(tmp_path)
        assert time.monotonic() - began < 30, "whatever the other side does"
    assert said(tmp_path) == "stopped; the next sync takes it up\n"
    assert not [other for other in family[1:] if lives(other.pid)]
    assert warehouse.rows("select status from dagster.runs") == [("CANCELED",)]
    assert warehouse.scalar("select count(*) from dagster.concurrency_slots where run_id is not null") == 0


def test_a_first_start_that_is_stopped_leaves_nothing_behind(tmp_path: Path, server_home: Path) -> None:
    home = server_home / "home"
    process = start(["hold", "list"], tmp_path, {"SVERKA_HOME": str(home)})
    wait_until(lambda: any(home.glob("postgres.new-*")), process)
    process.send_signal(signal.SIGINT)
    assert process.wait(BOUND_SECONDS) == 130
    assert said(tmp_path) == "stopped\n"
    assert not works_in(home)
    assert not list(home.glob("postgres*/base")), "the next start begins anew"


def catches(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether the process has a handler of its own for this signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_a_stop_while_the_program_loads_tells_no_traceback(tmp_path: Path) -> None:
    process = start(["status"], tmp_path, {})
    # Until our first lines are done, the interpreter itself answers a stop, with a traceback of its own.
    wait_until(
        lambda: process_of(process).cpu_times().user > 0.1 and not catches(process, signal.SIGINT), process
    )
    process.send_signal(signal.SIGINT)
    assert process.wait(BOUND_SECONDS) in (130, -signal.SIGINT)
    assert "Traceback" not in said(tmp_path)


# --- what cannot be


def test_a_home_that_cannot_be_made_is_told_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("n" * 300)):
        monkeypatch.setenv("SVERKA_HOME", str(home))
        assert main("status") == 1
        sentence = capsys.readouterr().err
        assert str(home) in sentence
        assert "SVERKA_HOME" in sentence
        assert sentence.count("\n") == 1


def test_a_home_that_may_not_be_written_is_told_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    monkeypatch.setenv("SVERKA_HOME", str(folder / "home"))
    if os.geteuid() == 0:  # root may write anywhere: the system's refusal in its place
        refused = PermissionError(13, "Permission denied", str(folder / "home"))
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(refused))
    assert main("status") == 1
    assert capsys.readouterr().err == (
        f"{folder}/home: Permission denied; set SVERKA_HOME to a folder that you may write to\n"
    )


def test_a_database_that_cannot_be_used_is_told_in_one_sentence(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FIRST_PAUSE_SECONDS", 0.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"postgresql://u:hush@127.0.0.1:{nobody.getsockname()[1]}/x"
        cases = {
            away: "check that the server runs and SVERKA_DATABASE_URL names it",
            warehouse.url.replace(
                "//sverka:", "//sverka:hush"
            ): "correct user and password in SVERKA_DATABASE_URL",
            warehouse.url + "_gone": "create it with CREATE DATABASE, or correct SVERKA_DATABASE_URL",
            "nonsense": "it looks like postgresql://USER:PASSWORD@HOST:5432/DATABASE",
        }
        for url, remedy in cases.items():
            monkeypatch.setenv("SVERKA_DATABASE_URL", url)
            assert main("status") == 1
            told = capsys.readouterr()
            assert remedy in told.err
            assert told.err.count("\n") == 1
            assert "hush" not in told.err + told.out


def test_a_database_that_is_too_old_is_told(
    server_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "OLDEST_VERSION", 990000)
    monkeypatch.setenv("SVERKA_DATABASE_URL", server_url)
    assert main("status") == 1
    assert "15 or newer is needed: upgrade the server" in capsys.readouterr().err


def test_a_user_who_may_not_make_schemas_is_told_what_to_grant(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = warehouse.place.rpartition("/")[2]
    warehouse.execute("create role poor login password 'poor'")
    try:
        warehouse.execute("drop table ops.alembic_version")
        poor = f"postgresql://poor:poor@{warehouse.place}"
        monkeypatch.setenv("SVERKA_DATABASE_URL", poor)
        assert main("status") == 1
        assert "GRANT" in capsys.readouterr().err, name
    finally:
        warehouse.execute("drop role poor")


def test_a_command_that_needs_the_demo_companys_systems_says_how_to_start_them(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVERKA_DATABASE_URL", warehouse.url)
    for command in ("sync", "plan", "reconcile"):
        assert main(command) == 1
        assert "start them with `make up` in another window" in capsys.readouterr().err


# --- whose home it is


SAMPLE = ("accounts.csv", "products.csv", "sales_teams.csv", "sales_pipeline.csv")


@pytest.mark.parametrize("command", ["demo", "demo --fresh", "real", "up", "status"])
def test_no_demonstration_fills_or_empties_a_home_that_it_did_not_make(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, data = tmp_path / "home", tmp_path / "sample"
    for path in (home / "postgres" / "PG_VERSION", home / "drop" / "Deals.csv", *(data / n for n in SAMPLE)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("ours")
    before = sorted(home.rglob("*"))
    assert main(*command.split(), *([str(data)] if command == "real" else [])) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        f"{home} holds what `sverka {'real' if command == 'real' else 'demo'}` did not make"
    )
    assert "SVERKA_HOME" in said
    assert said.count("\n") == 1
    assert sorted(home.rglob("*")) == before


def test_a_demonstration_throws_away_what_it_made_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    session.claim(home, "demo")
    session.claim(home, "demo")
    for name in ("postgres", "drop"):
        (home / name).mkdir()
        (home / name / "file").touch()
    (home / "notes.txt").write_text("mine")
    session.forget(home)
    assert sorted(path.name for path in home.iterdir() if path.name != "postgres.lock") == [
        "notes.txt",
        session.MARK,
    ]
    session.claim(home, "demo")
    with pytest.raises(ProcessError, match="`sverka real` did not make"):
        session.claim(home, "real")


def test_a_company_of_ones_own_does_not_move_into_the_home_of_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session.claim(tmp_path / "home", "demo")
    shutil.copytree(DEMO_FOLDER, tmp_path / "mine")
    monkeypatch.setenv("SVERKA_MAPPINGS", str(tmp_path / "mine"))
    assert main("status") == 1
    assert "was made by `sverka demo`, which throws it away; set SVERKA_HOME" in capsys.readouterr().err


def test_a_connector_that_stumbles_is_told_by_the_check_and_the_others_are_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Connector:
        def __init__(self, name: str) -> None:
            self.name = name

        def check(self) -> list[Finding]:
            if self.name == "shop":
                return [Finding("deal", bool({}["result"]), "read")]
            return [Finding("deal", True, "read")]

    def system(name: str) -> SimpleNamespace:
        source = SimpleNamespace(name=f"{name}.yaml")
        return SimpleNamespace(name=name, title=name, role="crm", undefined=(), source=source)

    systems = [system("shop"), system("other")]
    road = SimpleNamespace(
        mappings=SimpleNamespace(systems=systems), source=lambda system: Connector(system.name)
    )
    monkeypatch.setattr(work, "road", lambda: contextlib.nullcontext(road))
    monkeypatch.setattr(work, "sandbox_trouble", lambda: None)
    assert work.sources_check("") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "fails connection: shop: the connector stumbled" in said
    assert "(KeyError: 'result'); check that the address in `connection` of shop.yaml is" in said
    assert "works deal: read" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", DEMO_ADDRESSES)
@pytest.mark.parametrize("command", ["up", "sync", "plan", "reconcile", "sources check"])
def test_the_demo_companys_mapping_files_meet_no_system_beyond_this_machine(
    command: str, name: str, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ |= {"SVERKA_DATABASE_URL": warehouse.url, name: "https://user:hush@1c.shop.example/base/"}
    assert main(*command.split()) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{name} names 1c.shop.example")
    assert "SVERKA_MAPPINGS" in said
    assert "hush" not in said
    assert said.count("\n") == 1


def test_a_run_that_no_command_started_keeps_the_demo_to_this_machine_too(warehouse: Warehouse) -> None:
    there = {"SVERKA_BITRIX24_URL": "http://[::1]:9/rest/1/k/", "SVERKA_ONEC_URL": "https://1c.shop.example/"}
    os.environ |= {"SVERKA_ONEC_USER": "u", "SVERKA_ONEC_PASSWORD": "p", "SVERKA_DROP_FOLDER": "/in", **there}
    road = Road(warehouse, load(DEMO_FOLDER))
    with pytest.raises(SourceError, match=r"SVERKA_ONEC_URL names 1c\.shop\.example"):
        road.target(road.accounting)
    for host in ("localhost", "127.0.0.2", "[::1]"):
        os.environ["SVERKA_ONEC_URL"] = f"http://{host}:9/odata/standard.odata/"
        assert foreign_address(DEMO_FOLDER) is None
    os.environ["SVERKA_ONEC_URL"] = there["SVERKA_ONEC_URL"]
    assert foreign_address(PROJECT / "mappings" / "sales_opportunities") is None


# --- what is shown


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], io.StringIO]:
    """Whatever commands show, as a window of so many columns gets it."""

    def window(width: int) -> io.StringIO:
        text = io.StringIO()
        for module in (show, demo, work):
            monkeypatch.setattr(module, "CONSOLE", Console(file=text, width=width, highlight=False))
        return text

    return window


def test_a_sentence_has_the_whole_width_of_a_narrow_window_and_no_sum_is_cut(
    shown: Callable[[int], io.StringIO],
) -> None:
    why = "deal 265 (bitrix24): its amount is 17 715.00 RUB and its lines add up to 5 715.00 RUB; correct the lines"
    row = ("bitrix24:265", "МегаХолдинг [ООО]", "5 715.00 RUB", why)
    columns = ("deal", "client", "sum", "why")
    narrow = shown(60)
    show.sentences("Held: 1 deals", columns, [row])
    lines = narrow.getvalue().splitlines()
    assert lines[1] == "bitrix24:265  МегаХолдинг [ООО]  5 715.00 RUB"
    assert lines[2:] == [
        "    deal 265 (bitrix24): its amount is 17 715.00 RUB and its",
        "    lines add up to 5 715.00 RUB; correct the lines",
    ]
    wide = shown(200)
    show.sentences("Held: 1 deals", columns, [row])
    assert wide.getvalue().splitlines()[2].split("  ") == [*row]


def test_what_looks_like_markup_in_a_name_is_part_of_the_name(shown: Callable[[int], io.StringIO]) -> None:
    for width in (60, 200):
        text = shown(width)
        show.sentences("Held", ("client", "why"), [("[bold]Ромашка[/] [/x]", "no [red]tax[/] number [/]")])
        assert "[bold]Ромашка[/] [/x]" in text.getvalue()
        assert "no [red]tax[/] number [/]" in text.getvalue()


def test_a_demo_whose_first_run_failed_says_so_and_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: Callable[[int], io.StringIO]
) -> None:
    ran: list[str] = []

    def failing(name: str, **_: object) -> Ran:
        ran.append(name)
        return Ran(False, "0123456789", 1.0, ("bitrix24: the token has expired",))

    monkeypatch.setattr(demo, "database", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(demo, "start_sandbox", lambda *_: Sandbox("", {}))
    monkeypatch.setattr(Sandbox, "control", lambda *_: {})
    monkeypatch.setattr(demo, "run_job", failing)
    monkeypatch.setenv("SVERKA_DROP_FOLDER", "/somebody's/own")
    text = shown(200)
    assert demo.demo(fresh=False) == 1
    assert "SVERKA_DROP_FOLDER" not in os.environ, "it has one in its home"
    assert ran == ["sync"]
    assert "The first sync failed for the reason above (run 01234567)" in text.getvalue()


# --- what is typed wrong


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["hold", "list", "--language", "fr"], ("--language", "'en'", "'ru'")),
        (["mappings", "docs", "--language", "fr"], ("--language", "'en'", "'ru'")),
        (["hold", "release", "bitrix24:1", "--by", " ", "--reason", "why"], ("--by", "empty")),
        (["hold", "release", "bitrix24:1", "--by", "Anna", "--reason", ""], ("--reason", "empty")),
        (["plan", "--approve"], ("--approve and --by NAME go together",)),
        (["plan", "--by", "Anna"], ("--approve and --by NAME go together",)),
        (["up", "--port", "70000"], ("--port", "65535")),
        (["real", "/no/such/folder"], ("/no/such/folder", "accounts.csv")),
    ],
    ids=" ".join,
)
def test_what_is_typed_wrong_is_refused_before_anything_is_done(
    typed: list[str], told: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(cli.app, typed)
    assert result.exit_code == 2
    assert all(word in result.output for word in told), result.output
    assert not Path(os.environ["SVERKA_HOME"]).exists()


def main(*arguments: str) -> int:
    """The exit code of `sverka ARGUMENTS`, run in this process."""
    argv, sys.argv = sys.argv, ["sverka", *arguments]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = argv
    assert isinstance(ended.value.code, int)
    return ended.value.code


def start(arguments: list[str], folder: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """`sverka ARGUMENTS` as a terminal starts it; what it says goes to a file."""
    with (folder / "said").open("wb") as output:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env={**os.environ, **environ},
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )


def said(folder: Path) -> str:
    return (folder / "said").read_text()


def process_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    return psutil.Process(process.pid)


def works_in(home: Path) -> list[str]:
    """Command lines of what still works in the home."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in " ".join(process.cmdline()) or process.cwd().startswith(str(home)):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
