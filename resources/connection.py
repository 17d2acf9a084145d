"""What a mapping file's `connection` says, read as what it means.

A value from the environment (`${VAR}`) is always text, and an empty one where the variable is not set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from resources.connector import SourceError

SWITCH: Final = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
SWITCH_WORDS: Final = "true, yes, on or 1, or false, no, off or 0"


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
