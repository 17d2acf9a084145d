"""What a mapping file's `connection` and the environment say, read as what it means.

A value from the environment (`${VAR}`) is always text, and an empty one where the variable is not set.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal, overload

from resources.address import NONE, place
from resources.connector import SourceError

SWITCH: Final = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
SWITCH_WORDS: Final = "true, yes, on or 1, or false, no, off or 0"

DAY: Final = 86_400  # seconds; no wait of a connection is longer
AT_ONCE: Final = (
    64  # requests that a process has under way to one system: each holds a thread and a connection
)
# Digits, and a point before a fraction. "1,500" may be 1.5 or 1500, and so is neither; "1e3", "nan" and "inf" are words.
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?")


def switch(system: str, connection: Mapping[str, Any], name: str, otherwise: bool = False) -> bool:
    """An option that is on or off; `otherwise` where it is left out or empty.

    Raises SourceError that names the option and what may stand there.
    """
    try:
        return as_switch(connection.get(name), otherwise)
    except ValueError:
        raise SourceError(
            f"{system}: the connection's {name} is {connection[name]!r}; give {SWITCH_WORDS}, or leave it out"
        ) from None


def as_switch(given: object, otherwise: bool) -> bool:
    """Whether a value says on or off, in any case; `otherwise` where it is empty. Raises ValueError where it says neither."""
    text = "" if given is None else str(given).strip().lower()
    if not text:
        return otherwise
    if not isinstance(given, bool | int | str) or text not in SWITCH:
        raise ValueError(given)
    return SWITCH[text]


@overload
def number(
    system: str, connection: Mapping[str, Any], name: str, default: float, *,
    least: float | None = None, most: float | None = None, whole: Literal[False] = False,
) -> float: ...  # fmt: skip
@overload
def number(
    system: str, connection: Mapping[str, Any], name: str, default: int, *,
    least: int | None = None, most: int | None = None, whole: Literal[True],
) -> int: ...  # fmt: skip
def number(
    system: str, connection: Mapping[str, Any], name: str, default: float, *,
    least: float | None = None, most: float | None = None, whole: bool = False,
) -> float:  # fmt: skip
    """An option that is a number: of seconds, of requests, a share; no sum of money. `default` where it is left out or empty.

    It is above 0, or from `least` on, and up to `most`; `whole`: without a fraction, and an int. Raises SourceError that
    names the option and what may stand there.
    """
    given = connection.get(name)
    least = 1 if whole and least is None else least
    try:
        found = as_number(given, least, most, whole=whole)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        comma = " in digits, with a point before the fraction" if "," in str(given) and not whole else ""
        raise SourceError(
            f"{system}: the connection's {name} is {given!r}; give {kind} {_within(least, most)}{comma}, or leave it out"
        ) from None
    if found is None:
        return default
    return int(found) if whole else float(found)


def environment_seconds(name: str, default: int) -> int:
    """Whole seconds, from 1 to 31 days, that a variable of the environment says; `default` where it is not set or empty.

    Raises SourceError that names the variable and what may stand there.
    """
    given = os.environ.get(name)
    try:
        found = as_number(given, 1, 31 * DAY, whole=True)
    except ValueError:
        raise SourceError(
            f"the environment's {name} is {given!r}; give whole seconds from 1 to {31 * DAY}, or leave it out"
        ) from None
    return default if found is None else int(found)


def as_number(
    given: object, least: float | None = None, most: float | None = None, *, whole: bool = False
) -> Decimal | None:
    """The number that a value says, None where it is empty. Raises ValueError where it says none, or one out of bounds."""
    text = "" if given is None else str(given).strip()
    if not text:
        return None
    if (
        isinstance(given, bool)
        or not isinstance(given, int | float | Decimal | str)
        or not _NUMBER.fullmatch(text)
    ):
        raise ValueError(given)
    found = Decimal(text)
    too_small = found <= 0 if least is None else found < _exact(least)
    if too_small or (most is not None and found > _exact(most)) or (whole and found % 1):
        raise ValueError(given)
    return found


_TOKENS: Final = frozenset({
    "access_token", "api_key", "application_token", "client_id", "client_secret", "code", "long_lived_token", "realm_id",
    "refresh_token", "sap_client", "sap_language", "subdomain", "tenant",
})  # fmt: skip
_ADDRESSES: Final = frozenset({
    "accounts_url", "api", "api_domain", "base_url", "instance_url", "redirect_uri", "token_server", "token_url", "url",
})  # fmt: skip
_PHRASES: Final = frozenset({"password", "security_token", "user", "username"})


def as_copied(system: str, connection: Mapping[str, Any]) -> None:
    """Refuse a token, an address or a password that was copied with more than itself, before anything is sent.

    A token is of visible ASCII characters. So is an address, but for the name of its host. A password may be in any
    script and have blanks within, and no line break or invisible character. Blanks around each are nothing.
    Raises SourceError that names the option and the place, and never shows what stands there.
    """
    for name, given in connection.items():
        if name not in _TOKENS | _ADDRESSES | _PHRASES or given is None:
            continue
        text = str(given).strip()
        if name in _ADDRESSES and place(text) == NONE:
            raise SourceError(f"{system}: the connection's {name} is no address; correct it")
        host = re.match(r"(?i)https?://[^/?#]*", text) if name in _ADDRESSES else None
        for nth, character in enumerate(text, 1):
            foreign = not character.isascii() and not (host and nth <= host.end())
            if what := _unfit(character, name in _PHRASES, foreign):
                raise SourceError(
                    f"{system}: the connection's {name} has {what} within (as its character {nth}); copy it once more, "
                    "in one line and with nothing else"
                )


def _unfit(character: str, in_phrase: bool, foreign: bool) -> str:
    """What is wrong with a character of a credential or an address, "" where nothing is."""
    if character in "\r\n\u2028\u2029":
        return "a line break"
    if character == " " and in_phrase:
        return ""
    kind = unicodedata.category(character)
    if kind == "Zs" or character == "\t":
        return "a blank"
    if kind in ("Cc", "Cf", "Cs", "Cn", "Co"):
        return "an invisible character"
    return "a letter or sign that none has, however alike" if foreign and not in_phrase else ""


def _within(least: float | None, most: float | None) -> str:
    up_to = "" if most is None else f" up to {_exact(most):f}" if least is None else f" to {_exact(most):f}"
    low = "above 0" if least is None else f"from {_exact(least):f}"
    return f"{low}{up_to}" + (" on" if least is not None and most is None else "")


def _exact(bound: float) -> Decimal:
    """As it is written: 0.9 is 0.9, and no binary number next to it."""
    return Decimal(str(bound))
