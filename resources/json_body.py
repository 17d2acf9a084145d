"""A JSON body as it came: whether all of it is there, and what in it is no character."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from typing import Final

import msgspec

_raw = msgspec.json.Decoder(msgspec.Raw)
# Escapes one by one, so that one behind an escaped backslash is none: a pair of halves, a half alone, any other.
_ESCAPES: Final = re.compile(
    rb"(?s)\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)"
)
_HALF: Final = 6  # bytes of a half alone


def readable(content: bytes) -> tuple[bytes, bool]:
    """A JSON body, halves of characters in it replaced, and whether it reaches its end.

    Cheap: decodes into raw bytes, not into objects. One bad name would else cost everything that came with it.
    Raises RecursionError where it is nested too deeply.
    """
    if not _is_utf8(content):
        content = content.decode("utf-8", "replace").encode()
    if _is_whole(content):
        return content, True
    mended = _ESCAPES.sub(lambda m: rb"\ufffd" if len(m[0]) == _HALF else m[0], content)
    return (mended, True) if _is_whole(mended) else (content, False)


def _is_whole(content: bytes) -> bool:
    try:
        _raw.decode(content)
    except msgspec.DecodeError:
        return False
    return True


def _is_utf8(content: bytes) -> bool:
    decoder, size = getincrementaldecoder("utf-8")(), 1 << 20
    try:
        for start in range(0, 0 if content.isascii() else len(content), size):
            decoder.decode(content[start : start + size], start + size >= len(content))
    except UnicodeDecodeError:
        return False
    return True
