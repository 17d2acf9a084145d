"""Texts that must never be shown, found in whatever form and in whichever piece they come back.

    conceal(["a-token-that-nobody-sees"])
    mask("b'a-token-that-\\nnobody-sees'")   # "b'***\\n***'"

A secret comes back as it is, as Python or JSON or HTML writes it, percent-encoded in an address, in base64 with a name
before it; and cut, where a message has an end or a line was broken. So of a long one each piece is hidden.
"""

from __future__ import annotations

import html
import json
import logging
import re
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 4  # characters; a shorter secret would hide half of any text
LONG: Final = 8  # characters; a shorter secret is hidden where it is a word of its own
CUT: Final = 16  # characters; of a secret from here on each piece of PIECE characters is hidden too
PIECE: Final = 8
TOKEN: Final = 256  # characters; a longer secret is no password, and goes into no base64 beside a name
SPARSE: Final = 64  # characters; of a longer text every eighth piece is remembered
PLACES: Final = 8  # where one piece is looked for; a secret of one letter has it everywhere

_NAMED = re.compile(
    r"(?i)(\"?(?:access_token|refresh_token|client_secret|application_token|password|api_?key|auth|token)\"?"
    r"\s*[=:]\s*\"?)([^\s\"&,;}]+)|((?:basic|bearer)\s+)([\w.~+/=-]{6,})|(://[^/\s:@]+:)([^@/\s]+)(@)"
)


class Hidden:
    """The secrets of this process. Adding and looking are safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._words: set[str] = set()
        self._whole: set[str] = set()
        self._pieces: dict[str, tuple[tuple[str, int], ...]] = {}  # where in which text each piece stands

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these from now on."""
        with self._lock:
            for secret in secrets:
                if len(secret) >= SHORTEST and secret not in self._known:
                    self._known.add(secret)
                    for form in _forms(secret):
                        self._hide(form, len(secret) >= CUT)

    def _hide(self, form: str, pieces_too: bool) -> None:
        if len(form) < LONG:
            self._words = self._words | {form}
        elif not pieces_too:
            self._whole = self._whole | {form}
        else:
            step = 1 if len(form) < SPARSE else PIECE
            for start in [*range(0, len(form) - PIECE, step), len(form) - PIECE]:
                piece = form[start : start + PIECE]
                places = self._pieces.get(piece, ())
                if len(places) < PLACES:
                    self._pieces[piece] = (*places, (form, start))

    def masked(self, text: str) -> str:
        """The text with *** where a secret stands, or a piece of one."""
        found = sorted(self._found(text))
        if not found:
            return text
        shown: list[str] = []
        done = 0
        for start, end in found:
            if start > done or not done:
                shown += [text[done:start], "***"]
            done = max(done, end)
        return "".join([*shown, text[done:]])

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        for word in self._words:
            if word in text:  # it may be a part of a word
                yield from (m.span() for m in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text))
        for form in self._whole:
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = text.find(form, start + len(form))
        if self._pieces:
            for start in [n for n in range(len(text) - PIECE + 1) if text[n : n + PIECE] in self._pieces]:
                for form, place in self._pieces[text[start : start + PIECE]]:
                    yield _around(text, start, form, place)


def _around(text: str, start: int, form: str, place: int) -> tuple[int, int]:
    """How far the text is the same as the secret, on both sides of a piece."""
    end, after = start + PIECE, place + PIECE
    while start and place and text[start - 1] == form[place - 1]:
        start, place = start - 1, place - 1
    while end < len(text) and after < len(form) and text[end] == form[after]:
        end, after = end + 1, after + 1
    return start, end


def _forms(secret: str) -> set[str]:
    """The texts that a secret comes back as; of one with blanks within, the words too."""
    data = secret.encode("utf-8", "surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    forms = {
        secret,
        *(part for part in secret.split() if len(part) >= LONG),
        repr(secret)[1:-1],
        repr(data)[2:-1],
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escaped.replace("/", "\\/"),
        html.escape(secret),
    }
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        forms |= {encoded, re.sub("%..", lambda m: m[0].lower(), encoded)}
    if len(secret) <= TOKEN:
        forms |= {form for form in _in_base64(data) if len(form) >= LONG}
    return forms


def _in_base64(data: bytes) -> Iterator[str]:
    """What base64 makes of it whatever stands before and behind it: three texts by its place, in both alphabets."""
    for before in range(3):
        text = b64encode(bytes(before) + data).decode().rstrip("=")
        text = text[(0, 2, 3)[before] : len(text) - bool((before + len(data)) % 3)]
        yield text
        yield text.translate(str.maketrans("+/", "-_"))


_hidden = Hidden()


def conceal(secrets: Iterable[str]) -> None:
    """Never show these texts: in messages of this module, and in what httpx itself logs."""
    _hidden.add(secrets)


def mask(text: str) -> str:
    """The text with every known secret, in any form, and every value that is named like one, replaced by ***."""
    return _NAMED.sub(lambda m: f"{m[1] or m[3] or m[5]}***{m[7] or ''}", _hidden.masked(text))


class _Concealing(logging.Filter):
    """httpx logs whole addresses, and a webhook's address is its password."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask(record.getMessage()), ()
        return True


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks"):
    logging.getLogger(_name).addFilter(_Concealing())
