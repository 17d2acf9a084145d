"""No secret is shown, in whatever form it comes back and wherever it was cut."""

from __future__ import annotations

import base64
import html
import json
import secrets
from urllib.parse import quote, quote_plus

import httpx
import pytest

from resources.connector import SourceError
from resources.hidden import Hidden
from resources.http import Answer, Client, conceal, mask

WRAPPED = "eyJhbGciOiJSUzI1NiJ9\neyJzdWIiOiIxMjM0NTY3ODkwIn0.WITHOUTANEND"
PASSWORD = "Пар/оль+s3cr3t w0rd"


def hiding(secret: str) -> Hidden:
    hidden = Hidden()
    hidden.add([secret])
    return hidden


@pytest.mark.parametrize("secret", [WRAPPED, PASSWORD, "sh0rt/'\"er"])
@pytest.mark.parametrize(
    "form",
    [
        str,
        repr,
        lambda secret: repr(secret.encode()),
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: json.dumps(secret).replace("/", "\\/"),  # as PHP writes it
        html.escape,
        quote,
        quote_plus,
        lambda secret: quote(secret, safe=""),
        lambda secret: quote(secret, safe="").replace("%0A", "%0a").replace("%D0", "%d0"),
    ],
)
def test_a_secret_is_hidden_in_every_form(secret: str, form: object) -> None:
    assert callable(form)
    shown = hiding(secret).masked(f"it was {form(secret)}, said the vendor")
    for part in (*secret.split(), *form(secret).split()):
        assert part not in shown
    assert shown.startswith("it was ")
    assert shown.endswith(", said the vendor")


@pytest.mark.parametrize("name", ["", "u", "us", "user", "пользователь"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_password_is_hidden_in_base64_beside_any_name(name: str, encode: object) -> None:
    assert callable(encode)
    text = encode(f"{name}:{PASSWORD}".encode()).decode()
    shown = hiding(PASSWORD).masked(f"Basic {text}")
    left = shown.removeprefix("Basic ").replace("***", "")
    assert len(left) <= len(encode(f"{name}:".encode())) + 4


def test_a_piece_of_a_long_secret_is_hidden_wherever_it_was_cut() -> None:
    token = secrets.token_urlsafe(900)
    hidden = hiding(token)
    for start, end in ((0, 40), (1, 300), (333, 360), (1100, len(token))):
        assert hidden.masked(f"<{token[start:end]}>") == "<***>"
    half = hiding("0123456789abcdef")
    assert half.masked("begins with 01234567 and ends in 89abcdef") == "begins with *** and ends in ***"


def test_other_texts_stay_as_they_are() -> None:
    hidden = hiding("0123456789abcdef")
    for text in ("", "0123", "a deal of 01234.56 roubles", "abcdef"):
        assert hidden.masked(text) == text


def test_a_secret_of_one_letter_takes_no_time() -> None:
    assert hiding("a" * 300_000).masked("x" + "a" * 900 + "y") == "x***y"


def test_a_message_is_cut_after_its_secrets_were_hidden() -> None:
    conceal(["kept-f0r-0urselves"])
    body = b"x" * 285 + b" kept-f0r-0urselves and more"
    assert "kept" not in Answer(200, {}, body).text
    wide = '{"access_token": "kept-f0r-0thers-t00"}'.encode("utf-16")
    assert "f0r" not in Answer(200, {}, wide).text


def test_a_page_in_place_of_a_token_is_not_quoted() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<access>n0b0dy-kn0ws-me-yet</access>")

    login = Client(
        "crm", "https://crm.example/", transport=httpx.MockTransport(page), attempts=1, gives_tokens=True
    )
    with pytest.raises(SourceError, match="a page came instead of data") as told:
        login.request("POST", "token")
    assert "kn0ws" not in str(told.value)


def test_what_cannot_be_sent_is_never_quoted() -> None:
    def sent(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError(f"Illegal header value b'Bearer {WRAPPED}'")

    crm = Client("crm", "https://crm.example/", transport=httpx.MockTransport(sent), attempts=1)
    with pytest.raises(SourceError, match="no header may") as told:
        crm.request("GET", "deals")
    assert "eyJ" not in str(told.value)
    assert "WITHOUT" not in str(told.value)


@pytest.mark.parametrize("value", [f"Bearer {WRAPPED}", "Bearer абв", "Bearer \u200babc"])
def test_a_header_that_cannot_be_is_refused_before_anything_is_sent(value: str) -> None:
    with pytest.raises(SourceError, match="crm: the header Authorization cannot hold") as told:
        Client("crm", "https://crm.example/", headers={"Authorization": value})
    assert value.partition(" ")[2][:6] not in str(told.value)


def test_the_names_of_secrets_hide_what_nobody_told_us() -> None:
    assert mask("password=hunter2&x=1") == "password=***&x=1"
