"""People are told by every channel that is set up, and a dead one hides nothing."""

from __future__ import annotations

import logging
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest

from pipelines.processes import free_port
from resources.notify import Told, tell
from tests.listeners import Letters, Posts, letters_listener, posts_listener

MESSAGE = "Sverka: run 1234abcd of sync failed: read_onec: onec: 1С не отвечает"


@pytest.fixture
def posts() -> Iterator[Posts]:
    with posts_listener() as found:
        yield found


@pytest.fixture
def letters() -> Iterator[Letters]:
    with letters_listener() as found:
        yield found


def test_without_any_setting_the_log_alone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "sverka"):
        assert tell(MESSAGE, {}) == [Told("log")]
    assert MESSAGE in caplog.text


def test_a_webhook_gets_the_message_as_text(posts: Posts) -> None:
    assert tell(MESSAGE, {"SVERKA_NOTIFY_WEBHOOK": posts.address}) == [Told("log"), Told("webhook")]
    assert posts.received == [{"text": MESSAGE}]


def test_everybody_named_gets_a_letter(letters: Letters) -> None:
    settings = {
        "SVERKA_NOTIFY_EMAIL": "ann@shop.example, boris@shop.example",
        "SVERKA_SMTP_URL": letters.address,
    }
    assert tell(MESSAGE, settings) == [Told("log"), Told("e-mail")]
    ((recipients, content),) = letters.received
    letter = message_from_bytes(content, policy=policy.default)
    assert recipients == ["ann@shop.example", "boris@shop.example"]
    assert letter["Subject"] == MESSAGE
    assert letter.get_content().strip() == MESSAGE


def test_a_dead_webhook_does_not_hide_the_message_and_says_what_to_look_at(
    letters: Letters, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {
        "SVERKA_NOTIFY_WEBHOOK": f"http://127.0.0.1:{free_port()}/hooks/s3cret",
        "SVERKA_NOTIFY_EMAIL": "ann@shop.example",
        "SVERKA_SMTP_URL": letters.address,
    }
    log, webhook, email = tell(MESSAGE, settings)
    assert (log.error, email.error) == ("", "")
    assert "cannot be reached" in webhook.error
    assert "SVERKA_NOTIFY_WEBHOOK" in webhook.error
    assert "s3cret" not in webhook.error
    assert MESSAGE in caplog.text
    assert len(letters.received) == 1


def test_a_webhook_that_refuses_is_told_by_its_status(posts: Posts) -> None:
    posts.status = 410
    (_, webhook) = tell(MESSAGE, {"SVERKA_NOTIFY_WEBHOOK": posts.address})
    assert "410" in webhook.error


@pytest.mark.parametrize("server", ["", "mail.example", "http://mail.example"])
def test_a_mail_server_that_is_no_address_is_named(server: str) -> None:
    (_, email) = tell(MESSAGE, {"SVERKA_NOTIFY_EMAIL": "ann@shop.example", "SVERKA_SMTP_URL": server})
    assert "SVERKA_SMTP_URL is not like smtp://" in email.error


@pytest.mark.parametrize("to", ["not an address\r\nBcc: all@shop.example", "ann@shop.example\nX: y"])
def test_recipients_that_are_no_addresses_are_an_error_of_the_channel_alone(
    letters: Letters, to: str
) -> None:
    (_, email) = tell(MESSAGE, {"SVERKA_NOTIFY_EMAIL": to, "SVERKA_SMTP_URL": letters.address})
    assert "SVERKA_NOTIFY_EMAIL" in email.error
    assert letters.received == []


def test_a_message_of_several_lines_has_its_first_as_subject(letters: Letters) -> None:
    settings = {"SVERKA_NOTIFY_EMAIL": "ann@shop.example", "SVERKA_SMTP_URL": letters.address}
    assert tell(f"{MESSAGE}\nand more", settings)[1] == Told("e-mail")
    letter = message_from_bytes(letters.received[0][1], policy=policy.default)
    assert letter["Subject"] == MESSAGE
    assert "and more" in letter.get_content()


def test_a_mail_server_that_breaks_off_is_told() -> None:
    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"421 shutting down\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        address = f"smtp://127.0.0.1:{server.server_address[1]}"
        (_, email) = tell(MESSAGE, {"SVERKA_NOTIFY_EMAIL": "ann@shop.example", "SVERKA_SMTP_URL": address})
        thread.join(10)
    assert "the mail server did not take it" in email.error
