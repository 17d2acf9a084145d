"""The languages in which people are told things: managers and accountants read either."""

from __future__ import annotations

from typing import Final, Literal, get_args

Language = Literal["en", "ru"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
