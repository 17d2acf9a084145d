"""Tell people that something went wrong, or is right again: always in the log; by e-mail and webhook where these
are set up.

`SVERKA_NOTIFY_WEBHOOK`: an address that gets `{"text": ...}` (Slack, Mattermost, Teams, a bot).
`SVERKA_NOTIFY_EMAIL`: addresses, by commas; `SVERKA_SMTP_URL`: smtp://user:password@host:587 (smtps:// for TLS
from the start). A channel that fails never hides the message: the others still get it.
"""

from __future__ import annotations

import logging
import os
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import httpx

TIMEOUT_SECONDS = 10
LOGGER = logging.getLogger("sverka")


@dataclass(frozen=True, slots=True)
class Told:
    """One channel and how it went; `error` is empty where the message was delivered."""

    name: str
    error: str = ""


def tell(message: str, environ: Mapping[str, str] | None = None, *, good: bool = False) -> list[Told]:
    """Tell everybody who is to be told; `good`: that a trouble is over. Never raises."""
    settings = os.environ if environ is None else environ
    LOGGER.log(logging.INFO if good else logging.ERROR, message)
    told = [Told("log")]
    if address := settings.get("SVERKA_NOTIFY_WEBHOOK"):
        told.append(_webhook(address, message))
    if to := settings.get("SVERKA_NOTIFY_EMAIL"):
        told.append(_email(settings.get("SVERKA_SMTP_URL", ""), to, message))
    return told


def _webhook(address: str, message: str) -> Told:
    try:
        answer = httpx.post(address, json={"text": message}, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        return Told(
            "webhook", f"the webhook answered {error.response.status_code}; see SVERKA_NOTIFY_WEBHOOK"
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Told(
            "webhook", f"the webhook cannot be reached ({type(error).__name__}); see SVERKA_NOTIFY_WEBHOOK"
        )
    return Told("webhook")


def _email(server: str, to: str, message: str) -> Told:
    parts = urlsplit(server)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        return Told("e-mail", "SVERKA_SMTP_URL is not like smtp://user:password@host:587; set it")
    try:
        mail = _letter(message, unquote(parts.username or ""), to)
    except ValueError as error:
        return Told(
            "e-mail",
            f"SVERKA_NOTIFY_EMAIL or SVERKA_NOTIFY_FROM is no list of addresses ({error}); correct it",
        )
    secure = parts.scheme == "smtps"
    kind = smtplib.SMTP_SSL if secure else smtplib.SMTP
    try:
        with kind(parts.hostname, parts.port or (465 if secure else 587), timeout=TIMEOUT_SECONDS) as smtp:
            if not secure and smtp.has_extn("starttls"):
                smtp.starttls()
            if parts.username:
                smtp.login(unquote(parts.username), unquote(parts.password or ""))
            smtp.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        return Told(
            "e-mail", f"the mail server did not take it ({type(error).__name__}); see SVERKA_SMTP_URL"
        )
    return Told("e-mail")


def _letter(message: str, user: str, to: str) -> EmailMessage:
    """Raises ValueError for addresses that are none, such as those with a line break in them."""
    mail = EmailMessage()
    mail["Subject"] = (message.splitlines() or [""])[0][:120]
    mail["From"] = os.environ.get("SVERKA_NOTIFY_FROM", user or "sverka@localhost")
    mail["To"] = to
    mail.set_content(message)
    return mail
