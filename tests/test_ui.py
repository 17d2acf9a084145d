"""The real UI in a real browser: `sverka up` shows the graph with its checks, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.table import stage_tables

pytestmark = [pytest.mark.ui, pytest.mark.timeout(900)]

READY_SECONDS = 180
STOP_SECONDS = 60
PAGE_MILLISECONDS = 90_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
GROUP = sorted(table.name.removeprefix("documents.") for table in stage_tables("documents"))
# The graph draws the nodes inside the window alone, and which those are hangs on the layout, which hangs on what
# runs just now. So the window is large, and most of the group's nodes are enough; the list shows every one.
WINDOW = {"width": 3840, "height": 2160}
MOST = len(GROUP) // 2 + 1
NAMES_DRAWN = """
    ([names, most]) => {
        const drawn = new Set();
        for (const e of document.querySelectorAll("[class*=AssetNode] *, [class*=assetNode] *"))
            if (!e.childElementCount && e.offsetWidth) drawn.add(e.textContent.trim());
        return names.filter(name => drawn.has(name)).length >= most;
    }
"""


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], str]]:
    home = Path(tempfile.mkdtemp(prefix="sverka-ui-"))
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("SVERKA_", "DAGSTER_"))}
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "sverka"), "up", "--port", "0"],
        env={**environ, "SVERKA_HOME": str(home), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, _address(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)
        shutil.rmtree(home, ignore_errors=True)


def _address(process: subprocess.Popen[str]) -> str:
    said: list[str] = []
    deadline = time.monotonic() + READY_SECONDS
    assert process.stdout is not None
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        said.append(line)
        if match := re.search(r"The UI is at (http://\S+)", line):
            return match[1]
        if not line and process.poll() is not None:
            break
    pytest.fail(f"sverka up did not get ready: {''.join(said)}")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_the_ui_shows_the_asset_graph_with_its_checks(
    running: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    from playwright.sync_api import expect, sync_playwright

    _, address = running
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=WINDOW)
        page.set_default_timeout(PAGE_MILLISECONDS)
        expect.set_options(timeout=PAGE_MILLISECONDS)
        page.goto(f"{address}/locations/sverka/asset-groups/documents")
        try:
            # Asked at every frame, as by default, it would have the browser draw without a pause.
            page.wait_for_function(NAMES_DRAWN, arg=[GROUP, MOST], polling=500)
        finally:
            page.screenshot(path=str(tmp_path / "graph.png"))
        page.goto(f"{address}/locations/sverka/asset-groups/documents/list")
        for name in GROUP:
            expect(page.get_by_text(f"documents / {name}", exact=True).first).to_be_visible()
        page.goto(f"{address}/assets/documents/deal?view=checks")
        for check in ("stage_has_rule", "amount_equals_lines", "tax_number_given"):
            expect(page.get_by_text(check, exact=True).first).to_be_visible()
        page.goto(f"{address}/assets/documents/deal")
        expect(page.get_by_text("counterparty_id").first).to_be_visible()
        browser.close()


def test_ctrl_c_stops_everything_and_leaves_no_process_behind(
    running: tuple[subprocess.Popen[str], str],
) -> None:
    process, _ = running
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    assert len(family) > 4, "the database, the sandbox, the code server, the daemon and the web server"
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_SECONDS) == 0
    _, left = psutil.wait_procs([psutil.Process(pid) for pid in family if psutil.pid_exists(pid)], timeout=10)
    assert [other.cmdline() for other in left] == []
