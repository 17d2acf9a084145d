"""What a section of the report is made of. A block is one query: its rows are its table, and its picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from resources.language import Language

TILES: Final = "tiles"
MARTS: Final = re.compile(r"\bmarts\.([a-z_0-9]+)")


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar a row, in the order of the query, for the first `most` rows; several values are stacked."""

    label: str
    values: tuple[str, ...]
    most: int = 12
    apart: str = "currency"  # a picture for each value of this column, where there is one


@dataclass(frozen=True, slots=True)
class Months:
    """A column a month, empty months included; several values are lines. A month without a row counts as 0, unless the query
    itself has a row for every month that does (`has_gaps`)."""

    values: tuple[str, ...]
    label: str = "month"
    apart: str = "currency"
    has_gaps: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A table, with a picture if `chart` is given; a row of large figures where `is_tiles`.

    `query` takes `as_of` (a day), orders its rows itself, and names what it reads as `marts.NAME`: the first is the
    mart whose figures `columns` are. A column is a figure, or a name of `words.HEADS`. A sentence has its Russian in
    `NAME_ru`. Where the rows have a `currency`, each has a picture and totals of its own. `totals` may be added up.
    """

    name: str
    en: str
    ru: str
    query: str
    columns: tuple[str, ...]
    chart: Bars | Months | None = None
    totals: tuple[str, ...] = ()
    is_tiles: bool = False
    is_now: bool = False  # tells how it stands now, of whatever day the report is
    limit: int = 50

    @property
    def marts(self) -> Sequence[str]:
        return list(dict.fromkeys(MARTS.findall(self.query)))

    @property
    def mart(self) -> str:
        return self.marts[0] if self.marts else ""

    def title(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en


@dataclass(frozen=True, slots=True)
class Section:
    """A page: `name` is its file's."""

    name: str
    en: str
    ru: str
    says_en: str  # a sentence on what the page answers
    says_ru: str
    blocks: tuple[Block, ...]

    def title(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en

    def says(self, language: Language) -> str:
        return self.says_ru if language == "ru" else self.says_en
