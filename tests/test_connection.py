"""Options of a connection, on or off or numbers, say the same in every connector, whichever way they are written."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.accounting.onec_files.settings import Settings
from resources.connection import environment_seconds, number, switch
from resources.connector import SourceError
from resources.crm.files.options import OptionError, table_files, wrong_options

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


# ---- Numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [2.5, "2.5", " 2.50 ", "+2.5", Decimal("2.5")])
def test_a_number_is_read_whichever_way_it_is_written(given: object) -> None:
    assert number("crm", {"timeout": given}, "timeout", 60) == 2.5


@pytest.mark.parametrize("given", [3, "3", "3.0", 3.0, Decimal("3.00")])
def test_a_whole_number_is_an_int_whichever_way_it_is_written(given: object) -> None:
    found = number("crm", {"page": given}, "page", 60, whole=True)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("connection", [{}, {"timeout": None}, {"timeout": ""}, {"timeout": " "}])
def test_a_number_that_is_left_out_or_empty_is_the_default(connection: Mapping[str, Any]) -> None:
    assert number("crm", connection, "timeout", 60) == 60
    assert number("crm", connection, "timeout", 0, least=5, whole=True) == 0, "the default has no bounds"


@pytest.mark.parametrize(
    "given",
    ["many", "nan", float("nan"), "inf", float("inf"), "-inf", Decimal("NaN"), "1e3", "1_000", "1 000", "٣", ".",
     "5 s", "0x10", True, [3], {}, "9" * 400, 10**400, "-1", -1, 0, "0", "-0.0"],
)  # fmt: skip
def test_what_is_no_number_above_0_is_refused_by_the_name_of_the_option(given: object) -> None:
    with pytest.raises(SourceError) as caught:
        number("1c", {"timeout": given}, "timeout", 60)
    assert str(caught.value) == (
        f"1c: the connection's timeout is {given!r}; give a number above 0, or leave it out"
    )


@pytest.mark.parametrize("given", ["1,5", "1,000", "1.000,5"])
def test_a_comma_is_refused_since_it_may_part_thousands_and_the_remedy_says_so(given: str) -> None:
    with pytest.raises(SourceError) as caught:
        number("1c", {"timeout": given}, "timeout", 60)
    assert str(caught.value) == (
        f"1c: the connection's timeout is {given!r};"
        " give a number above 0 in digits, with a point before the fraction, or leave it out"
    )


@pytest.mark.parametrize(
    ("bounds", "within", "beyond", "words"),
    [
        ({}, ["0.001", 10**12], [0, -1], "a number above 0"),
        ({"least": 0}, [0, "0", "-0"], [-1, "-0.001"], "a number from 0 on"),
        ({"most": 0.9}, ["0.9", 0.9, Decimal("0.9")], [0, "0.900000001"], "a number above 0 up to 0.9"),
        ({"least": 0, "most": 86_400}, [0, 86_400], ["86400.5", -1], "a number from 0 to 86400"),
        ({"whole": True}, [1, "2"], [0, -3, "2.5", 2.5], "a whole number from 1 on"),
        ({"whole": True, "most": 20}, [1, 20, "20.0"], [0, 21, "1.5"], "a whole number from 1 to 20"),
        ({"whole": True, "least": 0}, [0], [-1, 0.5], "a whole number from 0 on"),
    ],
)
def test_bounds_are_kept_and_told(
    bounds: dict[str, Any], within: list[Any], beyond: list[Any], words: str
) -> None:
    for given in within:
        assert number("1c", {"n": given}, "n", 7, **bounds) == float(given)
    for given in beyond:
        with pytest.raises(SourceError) as caught:
            number("1c", {"n": given}, "n", 7, **bounds)
        assert str(caught.value) == f"1c: the connection's n is {given!r}; give {words}, or leave it out"


def calls(connector: str, *functions: str) -> Iterator[ast.Call]:
    """Where a connector's modules call these functions."""
    for path in RESOURCES.joinpath(*connector.split(".")).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                yield node


WITH_NUMBERS: Mapping[str, Mapping[str, Any]] = {
    **{name: {**connection, "allow_http": True} for name, connection in CONNECTIONS.items()},
    "crm.bitrix24": {"url": "https://crm.example/rest/1/code/"},
    "accounting.onec_files": {"statements": "statements"},
}


def numbers(connector: str) -> set[str]:
    """The options that a connector reads by `number`, itself or by `settling`."""
    read = [ast.unparse(call.args[2]) for call in calls(connector, "number") if len(call.args) == 4]
    settles = ["'resend_after_seconds'" for _ in calls(connector, "settling")]
    return {ast.literal_eval(name) for name in (*read, *settles)}


def test_every_connector_that_reads_numbers_is_tried_here() -> None:
    found = {
        f"{kind}.{path.name}" for kind in ("crm", "accounting") for path in (RESOURCES / kind).iterdir()
        if path.is_dir() and numbers(f"{kind}.{path.name}")
    }  # fmt: skip
    assert found == WITH_NUMBERS.keys(), "give WITH_NUMBERS above a connection that lacks nothing"


@pytest.mark.parametrize("connector", WITH_NUMBERS)
def test_a_wrong_word_for_any_number_of_any_connector_is_told_by_the_name_of_the_option(
    connector: str,
) -> None:
    module = importlib.import_module(f"resources.{connector}")
    for name in sorted(numbers(connector)):
        given = {**WITH_NUMBERS[connector], name: "many"}
        with pytest.raises(
            SourceError, match=rf"there: the connection's {name} is 'many'; give a (whole )?number"
        ):
            module.connect("there", given)


@pytest.mark.parametrize("connector", WITH_NUMBERS)
def test_no_connector_makes_a_number_of_an_option_by_itself(connector: str) -> None:
    bare = [
        f"{ast.unparse(call)} in line {call.lineno}"
        for call in calls(connector, "float", "int", "Decimal")
        if "connection.get(" in ast.unparse(call) or "connection[" in ast.unparse(call)
    ]
    assert not bare, "read it by number() of resources/connection.py"


def test_numbers_of_tables_in_folders_are_read_alike() -> None:
    table = {"pattern": "*.csv", "key": "id", "header_rows": "2", "min_share": "", "settle_seconds": ""}
    found = table_files("shop", "deal", table, "7.5")
    assert (found.layout.header_rows, found.min_share, found.settle.total_seconds()) == (2, 0.5, 7.5)
    assert table_files("shop", "deal", table, "").settle.total_seconds() == 5
    for name, given in (("min_share", "0,5"), ("settle_seconds", "nan"), ("header_rows", True)):
        with pytest.raises(OptionError, match=rf"`tables.deal.{name}` is .*, not {given!r}; correct it"):
            table_files("shop", "deal", {**table, name: given}, 5)


def test_a_wrong_number_above_all_tables_is_told_once_and_there() -> None:
    table = {"pattern": "*.csv", "key": "id"}
    wrong = list(
        wrong_options("shop", {"settle_seconds": "soon", "tables": {"deal": table, "company": table}})
    )
    assert wrong == [(("settle_seconds",), "is seconds up to a day, not 'soon'", "correct it")]


def test_seconds_of_the_environment_are_told_by_the_name_of_their_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SVERKA_SENSOR_SECONDS", " ")
    assert environment_seconds("SVERKA_SENSOR_SECONDS", 300) == 300
    monkeypatch.setenv("SVERKA_SENSOR_SECONDS", "60")
    assert environment_seconds("SVERKA_SENSOR_SECONDS", 300) == 60
    for given in ("1 min", "0", "-5", "2.5", "nan", "99999999"):
        monkeypatch.setenv("SVERKA_SENSOR_SECONDS", given)
        with pytest.raises(SourceError, match=rf"SVERKA_SENSOR_SECONDS is '{given}'; give whole seconds"):
            environment_seconds("SVERKA_SENSOR_SECONDS", 300)
