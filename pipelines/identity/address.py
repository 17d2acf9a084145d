"""Addresses taken apart: the town, and street with house in one spelling, out of one line as people write it.

Of a Russian address there is left the street's name, its kind where that is not "улица", the house and its parts:
"105005, г. Москва, ул. Бауманская, д. 7, стр. 2, оф. 12" and "Бауманская ул., дом № 7 строение 2" are
"бауманская 7 с2". Index, country, region, district and whatever lies inside the house (office, floor) tell nobody apart
that the house does not. Where no house is said, the line says too little to be compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipelines.identity.names import city
from pipelines.identity.words import CITY_ALIASES, TOWNS

STREETS: Final = {  # kinds of streets; "" where the name alone is as good
    "": "ул улица",
    "пр": "пр просп проспект пр-кт пр-т пркт",
    "проезд": "проезд пр-д",
    "пер": "пер переулок пер-к",
    "бр": "б-р бул бульв бульвар",
    "наб": "наб набережная",
    "ш": "ш шоссе",
    "пл": "пл площадь",
    "туп": "туп тупик",
    "ал": "ал аллея",
    "мкр": "мкр мкрн микрорайон мкр-н м-н",
    "квл": "кв-л квартал",
    "линия": "линия лин",
    "тракт": "тракт",
}
KINDS: Final = {word: kind for kind, words in STREETS.items() for word in words.split()}
BEFORE_A_TOWN: Final = frozenset(
    "г гор город пгт рп пос поселок п с село дер деревня д ст-ца станица х хутор аул".split()
)
REGIONS: Final = frozenset(
    "обл область край респ республика ао аобл округ р-н район го мо г.о м.о вн.тер.г внутригородская".split()
)
COUNTRIES: Final = frozenset(
    ("россия", "рф", "российская федерация", "казахстан", "беларусь", "республика беларусь")
)
SITES: Final = frozenset(  # names of what stands at a place, beside its street and house
    "бц тц трц тк тд бизнес-центр технопарк промзона завод склад рынок база".split()
)

NUMBER: Final = r"\d+(?:\s?[а-я](?![а-я.]|\s*\d))?(?:\s?[/-]\s?\d+[а-я]?)?(?![\dа-я-])"
HOUSE: Final = "дом|д|зд|здание|владение|влд|вл"
BLOCK: Final = "корпус|корп|к"
BUILDING: Final = "строение|строен|стр|с"
INSIDE: Final = "офис|оф|квартира|кв|помещение|помещ|пом|комната|комн|ком|кабинет|каб|этаж|эт|подъезд|под|секция|секц|пав|павильон"
PART: Final = re.compile(
    rf"(?<![а-я])(?:(?P<house>{HOUSE})|(?P<block>{BLOCK})|(?P<building>{BUILDING})|(?P<inside>{INSIDE}))"
    rf"(?:\.|\b)?\s*(?:№|no)?\s*(?P<number>{NUMBER}|(?<=\d)\d+)"
)
NOT_PLACES: Final = re.compile(r"(?<![а-я])(?:(?:литера|литер|лит)\.?\s*\"?[а-я]\d?|а/я\s*\d*)(?![а-я])")
JOINED: Final = re.compile(rf"(?<=\d)(?=(?:{BLOCK}|{BUILDING}|оф|кв|пом)\.?\s?\d)")  # 7к2
INDEX: Final = re.compile(r"(?<!\d)\d{6}(?!\d)")
LAST: Final = re.compile(rf"\s({NUMBER})$")
ALONE: Final = re.compile(NUMBER)
ABROAD_INSIDE: Final = re.compile(r"\b(?:office|room|apt|apartment|suite|floor|unit)\b\W*\w*\d\w*")
ABROAD_INDEX: Final = re.compile(r"\b\d{5,6}\b")
TWO_WORDS: Final = re.compile(r"(?:ий|ый|ой|ая|ое|ые|ие)$")


@dataclass(frozen=True, slots=True)
class Place:
    """`town`: as `names.city` spells it, None where the line does not say that it is one. `street`: with its house."""

    town: str | None
    street: str | None


NOWHERE: Final = Place(None, None)


@lru_cache(maxsize=100_000)
def taken_apart(text: str, known_town: str | None = None) -> Place:
    """The place that one line says. `known_town`: the town that stands elsewhere in the record, of `names.city`."""
    plain = text.lower().replace("ё", "е").replace("«", '"').replace("»", '"')
    if not re.search("[а-я]", plain):
        return Place(None, _abroad(plain, known_town))
    plain = JOINED.sub(" ", NOT_PLACES.sub(" ", INDEX.sub(" ", plain)))
    found = _Line(known_town)
    for chunk in re.split(r"[,;\n]", plain):
        found.take(chunk)
    return Place(found.town, found.said())


class _Line:
    """What the chunks of a line said up to now."""

    def __init__(self, known_town: str | None) -> None:
        self.known_town = known_town
        self.town: str | None = None
        self.street: str | None = None
        self.is_sure = False  # the street's kind stood beside its name
        self.house: str | None = None
        self.parts: list[str] = []

    def said(self) -> str | None:
        return " ".join([self.street, self.house, *self.parts]) if self.street and self.house else None

    def take(self, chunk: str) -> None:
        start = PART.search(chunk)
        self._words(chunk[: start.start()] if start else chunk)
        for part in PART.finditer(chunk):
            self._part(part)

    def _part(self, part: re.Match[str]) -> None:
        number = re.sub(r"\s", "", part["number"])
        if part["house"]:
            self.house = self.house or number
        elif part["block"]:
            self.parts.append(f"к{number}")
        elif part["building"]:
            self.parts.append(f"с{number}")

    def _words(self, chunk: str) -> None:
        words = [word for part in re.split(r'[\s"()]+', chunk) if (word := part.strip(".№-"))]
        words = [word for joined in words for word in re.split(r"(?<=[а-я])\.(?=[а-я]{2})", joined)]
        if not words or " ".join(words) in COUNTRIES:
            return
        if ALONE.fullmatch(" ".join(words)):
            self.house = self.house or ("".join(words) if self.street else None)
            return
        if REGIONS.intersection(words) and self._after_region(words):
            return
        if words[0] in BEFORE_A_TOWN and len(words) > 1 and not words[1][0].isdigit():
            self._from_town(words[1:])
        elif words[-1] in ("г", "гор") and len(words) > 1:
            self.town = self.town or city(" ".join(words[:-1]))
        elif self._is_town(words):
            self.town = self.town or city(" ".join(words))
        elif not SITES.intersection(words):
            self._street(words)

    def _after_region(self, words: list[str]) -> bool:
        """Whether that was all: "Московская обл", "Московская обл г Химки ул Победы 5"; not "ул Красный Край"."""
        for place, word in enumerate(words[:-1]):
            if place and word in ("г", "гор", "город") and words[place + 1] not in REGIONS:
                self._from_town(words[place + 1 :])
                return True
        return not KINDS.keys() & set(words)

    def _from_town(self, words: list[str]) -> None:
        """A town, and in the same breath perhaps its street: Москва Бауманская 7."""
        kind = next((place for place, word in enumerate(words) if word in KINDS), None)
        size = 2 if len(words) > 1 and TWO_WORDS.search(words[0]) else 1
        if kind is None and not re.search(r"\d", words[-1]):
            size = len(words)
        self.town = self.town or city(" ".join(words[:size]))
        if words[size:]:
            self._street(words[size:])

    def _is_town(self, words: list[str]) -> bool:
        said = city(" ".join(words))
        return said is not None and (
            said == self.known_town or (len(words) == 1 and (said in TOWNS or words[0] in CITY_ALIASES))
        )

    def _street(self, words: list[str]) -> None:
        for size in (1, 2, 3):  # "Казань Баумана 5": the town stands before the street
            if len(words) > size and self._is_town(words[:size]):
                self.town = self.town or city(" ".join(words[:size]))
                words = words[size:]
                break
        kind, rest = _kind(words)
        if self.street is not None and (self.is_sure or (self.house and kind is None)):
            return
        line = " ".join(rest)
        if not line or (kind is None and not re.search("[а-я]{2}", line)):
            return
        if (last := LAST.search(line)) and not self.house:  # "мкр 5" has no house yet, "5 мкр 7" has
            self.house, line = re.sub(r"\s", "", last[1]), line[: last.start()]
        self.street = f"{line} {kind}" if kind else line
        self.is_sure = kind is not None


def _kind(words: list[str]) -> tuple[str | None, list[str]]:
    """The kind of street, None where none is said, and the other words. "ул. Набережная" is a street of that name."""
    kinds = [word for word in words if word in KINDS]
    word = next((word for word in kinds if not KINDS[word]), kinds[0] if kinds else None)
    if word is None or len(words) == 1:
        return None, words
    at = words.index(word)
    return KINDS[word], words[:at] + words[at + 1 :]


def _abroad(plain: str, known_town: str | None) -> str | None:
    plain = ABROAD_INDEX.sub(" ", ABROAD_INSIDE.sub(" ", plain))
    towns = set(known_town.split()) if known_town else set()
    words = [word for word in re.split(r"[\W_]+", plain) if word and word not in towns]
    said = " ".join(words)
    return said if re.search(r"\d", said) and re.search(r"[^\W\d]{3}", said) else None
