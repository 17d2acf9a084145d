"""A token, a password or an address copied with more than itself is refused at once, by its name and without a word of it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from resources.connection import as_copied
from resources.connector import SourceError

URL = "https://crm.example/"
TOKENS = (
    "client_id",
    "client_secret",
    "refresh_token",
    "code",
    "long_lived_token",
    "application_token",
    "tenant",
    "api_key",
)
ODD = {
    "a line break": "\n",
    "a line break of Windows": "\r\n",
    "a tab": "\t",
    "a zero character": "\0",
    "an invisible blank": "\u200b",
    "a Cyrillic letter": "\u0441",
    "a blank": " ",
    "a fixed blank": "\xa0",
}
CONNECTIONS: list[tuple[str, dict[str, Any]]] = [
    ("crm.amocrm", {"base_url": URL, "long_lived_token": ""}),
    ("crm.amocrm", {"base_url": URL, "client_id": "i", "client_secret": "", "refresh_token": "r"}),
    ("crm.megaplan", {"url": URL, "application_token": ""}),
    ("crm.bitrix24", {"url": URL, "client_id": "i", "client_secret": "s", "refresh_token": ""}),
    ("crm.salesforce", {"instance_url": URL, "client_id": "i", "client_secret": ""}),
    ("crm.dynamics", {"url": URL, "client_id": "i", "client_secret": "s", "tenant": ""}),
    ("crm.dynamics", {"url": URL, "client_id": "i", "client_secret": "", "token_url": URL + "token"}),
    ("crm.zoho", {"accounts_url": URL, "client_id": "i", "client_secret": "s", "refresh_token": ""}),
    ("accounting.quickbooks", {"realm_id": "1", "client_id": "i", "client_secret": "s", "refresh_token": ""}),
    ("accounting.sap", {"url": URL, "company_code": "1010", "user": "u", "password": "p", "api_key": ""}),
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("module", "connection"), CONNECTIONS)
def test_a_token_copied_with_more_than_itself_is_refused_at_connect(
    module: str, connection: dict[str, Any], odd: str
) -> None:
    name = next(name for name, value in connection.items() if not value)
    bad = {**connection, name: f"beginn1ng{ODD[odd]}end0fthetoken"}
    with pytest.raises(SourceError, match=f"it: the connection's {name} has .*as its character 10") as told:
        importlib.import_module(f"resources.{module}").connect("it", bad)
    assert "beginn" not in str(told.value)
    assert "end0f" not in str(told.value)


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd not in ("a Cyrillic letter", "a blank")])
@pytest.mark.parametrize(
    ("module", "connection"),
    [
        ("crm.megaplan", {"url": URL, "username": "user", "password": ""}),
        ("accounting.onec", {"url": URL, "user": "Иванов", "password": "", "timezone": "Europe/Moscow"}),
        ("accounting.sap", {"url": URL, "company_code": "1010", "user": "SVERKA USER", "password": ""}),
    ],
)
def test_a_password_may_be_in_any_script_and_has_nothing_invisible(
    module: str, connection: dict[str, Any], odd: str
) -> None:
    connect = importlib.import_module(f"resources.{module}").connect
    connect("it", {**connection, "password": " Пароль из слов "})
    with pytest.raises(SourceError, match="it: the connection's password has ") as told:
        connect("it", {**connection, "password": f"Пар{ODD[odd]}оль"})
    assert "Пар" not in str(told.value)


@pytest.mark.parametrize("odd", ODD)
def test_an_address_with_a_secret_in_it_is_refused_without_being_shown(odd: str) -> None:
    bad = f"https://portal.example/rest/1/wh00k{ODD[odd]}c0de/"
    with pytest.raises(SourceError, match="it: the connection's url has ") as told:
        importlib.import_module("resources.crm.bitrix24").connect("it", {"url": bad})
    assert "wh00k" not in str(told.value)


@pytest.mark.parametrize("bad", ["http://[::1", "https://host:99999999/", "https://host:port/"])
def test_what_is_no_address_is_told_in_words(bad: str) -> None:
    for module, name in (("crm.megaplan", "url"), ("crm.amocrm", "base_url"), ("crm.dynamics", "url")):
        with pytest.raises(SourceError, match=f"it: the connection's {name} is no address"):
            importlib.import_module(f"resources.{module}").connect("it", {name: bad, "long_lived_token": "t"})


def test_blanks_around_and_hosts_in_other_scripts_are_sound() -> None:
    as_copied("it", {"url": " https://пример.рф/base/ \n", **dict.fromkeys(TOKENS, " abc-123~.=\n")})
    as_copied("it", {"url": None, "client_id": "", "timezone": "Europe / Moscow", "private_key": "a\nb"})
