"""Fields of a module that the mapping names, beside those that the user sees: a refusal told in words.

A field that a profile hides is left out in silence, and does not exist for a query: the two cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from resources.connector import Refused, SourceError
from resources.crm.zoho.org import NOT_THERE, Org

LIKE: Final = 0.75  # of two names that may be one


def absent_fields(org: Org, module: str, names: Sequence[str]) -> dict[str, str]:
    """Those of the names that the user does not see, each with the nearest that he does, or "". Raises SourceError."""
    there = {found.name for found in org.fields(module, anew=True)}
    plain = {name.casefold(): name for name in sorted(there)}
    return {
        name: plain[near[0]] if (near := get_close_matches(name.casefold(), plain, 1, LIKE)) else ""
        for name in names
        if name not in there and name != "id"
    }


def remedy(near: str, mapping_file: str) -> str:
    """What to do about a field that is not there."""
    if near:
        return f"did you mean {near}? Correct it in {mapping_file}, or show the field to the user's profile"
    return f"create it, show it to the user's profile, or take it out of {mapping_file}"


def explain(
    org: Org, module: str, names: Sequence[str], mapping_file: str, error: Refused, *, optional: bool = False
) -> None:
    """Raise a refusal in words: the field that is not there, else as it is.

    Returns where the module is `optional` and not there at all.
    """
    try:
        absent = absent_fields(org, module, names)
    except Refused as other:
        if optional and other.code in NOT_THERE:
            return
        raise other from error
    for name, near in absent.items():
        raise SourceError(
            f"{org.system}: {module} has no field {name} that this user sees, and the mapping names it; "
            f"{remedy(near, mapping_file)}"
        ) from error
    raise error
