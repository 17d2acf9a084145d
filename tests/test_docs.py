"""What the documentation says of the project is so: files, tests that it calls its proof, who offers what."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import typing
from pathlib import Path

import pytest
import yaml

from resources import connector

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "sandbox" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"(?P<title>[^\"]*)\")?\)")
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
FOLDERS = "benchmarks|docs|expectations|mappings|pipelines|resources|sandbox|tests"
PATH = re.compile(rf"(?<![\w/.])(?:{FOLDERS})/[\w./*-]*[\w/*]")
FILE = re.compile(r"[\w*]+\.(?:py|sql|yaml)")
ADAPTED = re.compile(
    r"\bNAME\b|[<{]|\bmappings/(?:mycompany|mine|ours)/|\bopen_deals\.sql$|\bcore/thing\.yaml$"
)
"""Paths that stand for the reader's own: a placeholder, a file of a company, of an example or of a test's folder."""
OTHERS = {"dagster.yaml", "own_process.yaml"}  # written when it runs

MAPPINGS = ROOT / "mappings"
CRMS = sorted(path.stem for path in MAPPINGS.glob("crm/*.yaml"))
ROW = re.compile(r"^\| (?P<names>`\w+`(?:, `\w+`)*) \|[^|]*\| (?P<who>[^|]*) \|$", re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_every_test_named_as_proof_exists(page: Path) -> None:
    broken = []
    for match in LINK.finditer(page.read_text()):
        target, title = match["target"].partition("#")[0], match["title"]
        if not target or "://" in target:
            continue
        path = (page.parent / target).resolve()
        if not path.exists():
            broken.append(match[0])
        elif (
            title and title.startswith("test_") and not re.search(rf"^def {title}\b", path.read_text(), re.M)
        ):
            broken.append(f"{match[0]}: no such test")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_and_folder_named_in_a_page_is_there(page: Path) -> None:
    """A path from the project's root; a bare name is of a file beside the page, or for docs of any file of the project."""
    names = {Path(file).name for file in _files()}
    absent = []
    for span in SPAN.findall(FENCED.sub("", page.read_text())):
        if ADAPTED.search(span):
            continue
        absent += [path for path in PATH.findall(span) if not _is_there(path)]
        if FILE.fullmatch(span) and span not in OTHERS:
            beside = page.parent if page.parent.name == "sandbox" else None
            if not (any(beside.glob(span)) if beside else span in names):
                absent.append(span)
    assert absent == []


def test_every_file_named_in_code_and_mappings_is_there() -> None:
    absent = []
    for file in _files():
        if not file.endswith((".py", ".yaml", ".sql", ".toml")) or file == "tests/test_docs.py":
            continue
        for number, line in enumerate((ROOT / file).read_text().splitlines(), start=1):
            absent += [
                f"{file}:{number}: {path}"
                for path in PATH.findall(line)
                if path.endswith((".py", ".sql", ".yaml", ".md"))
                and not ADAPTED.search(path)
                and not _is_there(path)
            ]
    assert absent == []


def test_the_protocols_are_named_with_everybody_who_offers_them() -> None:
    """The table of docs/architecture.md, held against the members of every connector's class."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("| protocol | for | who |\n")[2].partition("\n\n")[0]
    said = {}
    for match in ROW.finditer(table):
        for name in re.findall(r"\w+", match["names"]):
            said[name] = _those_named(match["who"])
    classes = _connectors()
    true = {
        name: {who for who, members in classes.items() if members >= wanted}
        for name, wanted in _protocols().items()
    }
    assert said == true


def test_a_connector_has_all_members_of_what_it_offers_besides_or_none() -> None:
    """Half of a protocol would be taken for none of it, without a word."""
    halves = [
        f"{who}: {name} without {sorted(wanted - members)}"
        for who, members in _connectors().items()
        for name, wanted in _protocols().items()
        if wanted & members and not wanted <= members
    ]
    assert halves == []


def test_every_crm_has_a_page_and_a_column_and_whoever_sends_webhooks_a_row_of_what_proves_them() -> None:
    """Bitrix24, whose mapping file is the demo's, counts among the CRMs."""
    overview = (ROOT / "docs" / "connectors.md").read_text()
    proofs = (ROOT / "docs" / "webhooks.md").read_text()
    lacking = []
    for name in ("bitrix24", *CRMS):
        if not (ROOT / "docs" / "connectors" / f"{name}.md").exists():
            lacking.append(f"docs/connectors/{name}.md")
        if f"(connectors/{name}.md)" not in overview:
            lacking.append(f"docs/connectors.md: {name}")
    for name, members in _connectors().items():
        if "hear" in members and not re.search(rf"^\| \[[^\]]+\]\(connectors/{name}\.md\) \|", proofs, re.M):
            lacking.append(f"docs/webhooks.md, what proves a webhook: {name}")
    head = next(line for line in overview.splitlines() if line.startswith("| | "))
    assert len(head.strip("| ").split(" | ")) == len(CRMS) + 1
    assert lacking == []


def test_the_ready_files_of_accounting_wait_for_a_person_as_the_pages_say() -> None:
    ready = {path.name: yaml.safe_load(path.read_text()) for path in MAPPINGS.glob("accounting/*.yaml")}
    assert {name: file["approval"] for name, file in ready.items()} == dict.fromkeys(ready, "manual")
    overview = (ROOT / "docs" / "connectors.md").read_text().partition("## Accounting\n")[2]
    assert sorted(ready) == sorted(re.findall(r"^\| [^|]+ \| `(\w+\.yaml)` \|", overview, re.M))


def _files() -> list[str]:
    """What belongs to the project, from its root: what git knows, or would take."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):  # a copy without its history
        said = [
            path.relative_to(ROOT).as_posix()
            for folder in FOLDERS.split("|")
            for path in (ROOT / folder).rglob("*")
        ]
    return [file for file in said if file and (ROOT / file).is_file()]


def _is_there(path: str) -> bool:
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()


def _those_named(who: str) -> set[str]:
    """Of a cell like "every CRM, `onec`"."""
    return {*(("bitrix24", *CRMS) if "every CRM" in who else ()), *SPAN.findall(who)}


def _protocols() -> dict[str, set[str]]:
    """The small protocols of resources/connector.py, and the members that a connector has of each."""
    found = {}
    for name, kind in vars(connector).items():
        if (
            isinstance(kind, type)
            and getattr(kind, "_is_protocol", False)
            and name not in ("Protocol", "Source", "Target")
        ):
            found[name] = {n for n in (*vars(kind), *inspect.get_annotations(kind)) if not n.startswith("_")}
    return found


def _connectors() -> dict[str, set[str]]:
    """By name the members of every connector's class: what its classes define and its constructors set."""
    found = {}
    for side in ("crm", "accounting"):
        package = importlib.import_module(f"resources.{side}")
        for module in pkgutil.iter_modules(package.__path__):
            made = getattr(importlib.import_module(f"resources.{side}.{module.name}"), "connect", None)
            if made is not None:
                given = typing.get_type_hints(made)["return"]
                classes = typing.get_args(given) or (given,)  # the connection may say which of two it is
                found[module.name] = set().union(*map(_members, classes))
    return found


def _members(kind: type) -> set[str]:
    members = set(dir(kind))
    for base in kind.__mro__:
        if inspect.isfunction(vars(base).get("__init__")):
            members |= set(re.findall(r"self\.(\w+)\b[^=\n]*=", inspect.getsource(base.__init__)))  # type: ignore[misc]
    return members


def test_policies_that_are_shown_treat_the_lines_as_the_sum_that_changes_with_them() -> None:
    shown = []
    for page in [*PAGES, *MAPPINGS.rglob("*.yaml")]:
        text = re.sub(r"\n\s*#?\s*", " ", page.read_text())
        shown += re.findall(r"\b(?:draft|posted|paid|closed): \{([^{}]*\bamount: (\w+)[^{}]*)\}", text)
    assert len(shown) >= 4
    assert [policy for policy, action in shown if f"lines: {action}" not in policy] == []
