"""Options of a connection that are on or off say the same in every connector, whichever way they are written."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.accounting.onec_files.settings import Settings
from resources.connection import switch
from resources.connector import SourceError
from resources.crm.files.options import OptionError, table_files

RESOURCES = Path(__file__).parents[1] / "resources"
FAR = "http://books.example"
CLIENT = {"client_id": "c", "client_secret": "s", "refresh_token": "r"}
CONNECTIONS: Mapping[str, Mapping[str, Any]] = {
    "accounting.onec": {
        "url": f"{FAR}/base/odata/standard.odata/", "user": "u", "password": "p", "timezone": "Europe/Moscow",
    },
    "accounting.quickbooks": {**CLIENT, "realm_id": "4620816365000000000", "base_url": FAR},
    "accounting.sap": {"url": FAR, "company_code": "1010", "user": "u", "password": "p"},
    "crm.amocrm": {"base_url": FAR, "long_lived_token": "t"},
    "crm.dynamics": {**CLIENT, "url": FAR, "tenant": "t"},
    "crm.megaplan": {"url": FAR, "username": "u", "password": "p"},
    "crm.salesforce": {**CLIENT, "instance_url": FAR},
    "crm.zoho": {**CLIENT, "accounts_url": FAR, "api_domain": FAR},
}  # fmt: skip
"""By connector, a connection that lacks nothing but the leave to speak plain http to another machine."""


@pytest.mark.parametrize(
    ("given", "means"),
    [
        *((word, True) for word in ("true", "True", " TRUE ", "yes", "Yes", "on", "ON", "1", 1, True)),
        *((word, False) for word in ("false", "FALSE", "no", "No", " off ", "OFF", "0", 0, False)),
    ],
)
def test_a_switch_is_read_whichever_way_it_is_written(given: object, means: bool) -> None:
    assert switch("crm", {"allow_http": given}, "allow_http", not means) is means


@pytest.mark.parametrize("otherwise", [True, False])
@pytest.mark.parametrize("connection", [{}, {"probe": None}, {"probe": ""}, {"probe": " "}])
def test_a_switch_that_is_left_out_or_empty_is_what_it_is_otherwise(
    connection: Mapping[str, Any], otherwise: bool
) -> None:
    assert switch("1c", connection, "probe", otherwise) is otherwise


@pytest.mark.parametrize("given", ["ja", "2", 2, -1, "truee", Decimal("1"), ["true"], {}])
def test_what_is_neither_on_nor_off_is_refused_by_the_name_of_the_option(given: object) -> None:
    with pytest.raises(SourceError) as caught:
        switch("1c", {"probe": given}, "probe", True)
    assert str(caught.value) == (
        f"1c: the connection's probe is {given!r}; give true, yes, on or 1, or false, no, off or 0, or leave it out"
    )


def connect(connector: str, **options: object) -> None:
    """Open the connection, which sends nothing, and close it."""
    module = importlib.import_module(f"resources.{connector}")
    module.connect("there", {**CONNECTIONS[connector], **options}).close()


def test_every_connector_that_may_be_allowed_plain_http_is_tried_here() -> None:
    found = {
        ".".join(path.relative_to(RESOURCES).parts[:2])
        for kind in ("crm", "accounting")
        for path in (RESOURCES / kind).glob("*/*.py")
        if '"allow_http"' in path.read_text(encoding="utf-8")
    }
    assert found == CONNECTIONS.keys(), "give CONNECTIONS above an entry for each connector with allow_http"


@pytest.mark.parametrize("connector", CONNECTIONS)
def test_plain_http_is_allowed_by_every_word_for_yes_and_by_none_for_no(connector: str) -> None:
    for word in ("true", "Yes", "1", "on", True, 1):
        connect(connector, allow_http=word)
    for word in ("false", "No", "0", "off", "", False, 0, None):
        with pytest.raises(SourceError, match="plain http"):
            connect(connector, allow_http=word)
    with pytest.raises(SourceError, match=r"there: the connection's allow_http is 'maybe'; give true"):
        connect(connector, allow_http="maybe")


@pytest.mark.parametrize(("word", "tries"), [("false", False), ("0", False), ("", True), ("yes", True)])
def test_whether_1c_may_be_tried_by_a_write_is_read_as_what_it_says(word: str, tries: bool) -> None:
    module = importlib.import_module("resources.accounting.onec")
    connection = {**CONNECTIONS["accounting.onec"], "allow_http": "1", "probe": word}
    base = module.connect("1c", connection)
    assert base.probe_writes is tries
    base.close()


@pytest.mark.parametrize(("word", "means"), [("off", False), ("0", False), ("ON", True), ("", True)])
def test_options_of_bases_and_tables_in_folders_are_read_alike(
    word: str, means: bool, tmp_path: Path
) -> None:
    given = {"statements": str(tmp_path), "posted_only": word}
    assert Settings.read("1c", given).posted_only is means
    table = table_files("shop", "deal", {"pattern": "*.csv", "key": "id", "skip_totals": word}, 5)
    assert table.skip_totals is means


def test_a_wrong_word_is_told_of_a_base_and_of_a_table_in_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="1c: the connection's posted_only is 'nearly'; give true"):
        Settings.read("1c", {"statements": str(tmp_path), "posted_only": "nearly"})
    with pytest.raises(OptionError, match=r"`.*skip_totals` is true, yes, on or 1, or false.*, not 'nearly'"):
        table_files("shop", "deal", {"pattern": "*.csv", "key": "id", "skip_totals": "nearly"}, 5)
