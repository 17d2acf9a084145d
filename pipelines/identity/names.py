"""Names taken apart: one spelling for Russian and Latin letters, the words that tell, and a person's parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from pipelines.core.legal_name import FORMS
from pipelines.identity.around import INITIALS, plain
from pipelines.identity.words import (
    ABBREVIATIONS,
    CITY_ALIASES,
    FIRST_NAMES,
    NO_NAMES,
    SAME_NAMES,
    TOWNS,
)

LETTERS: Final = str.maketrans(
    dict(
        zip(
            "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
            "a b v g d e e j z i i k l m n o p r s t u f h c Q S S - i - e u a".split(),
            strict=True,
        )
    )
    | {"`": "", "'": ""}
)
# What one sound is written as, in this order; whatever is left twice becomes one. A sound is one letter, so that a slip
# of one Russian letter is a slip of one here: S stands for sh, Q for ch.
SOUNDS: Final = (
    ("-", ""), ("w", "v"), ("q", "k"), ("shch", "S"), ("sch", "S"), ("sh", "S"), ("ch", "Q"), ("kh", "h"), ("zh", "j"),
    ("ts", "c"), ("tc", "c"), ("yo", "e"), ("ya", "a"), ("yu", "u"), ("ia", "a"), ("iu", "u"), ("ja", "a"), ("ju", "u"),
    ("ye", "e"), ("ie", "e"), ("y", "i"), ("ck", "k"), ("x", "h"),
)  # fmt: skip
TWICE: Final = re.compile(r"(.)\1+")
PATRONYMIC: Final = re.compile(r"..(?:oviQ|eviQ|iQ|ovna|evna|iQna)$")
BEFORE_A_TOWN: Final = frozenset(("g", "gor", "gorod"))
SOLE: Final = frozenset(("ИП", "ЧП", "КФХ"))
LATIN_SOLE: Final = "ip "
INITIAL_WORDS: Final = 3  # a name of so many words is shortened to its initials


@lru_cache(maxsize=200_000)
def latin(word: str) -> str:
    """One word in Latin letters, sounds that are written in several ways in one."""
    text = word.lower().translate(LETTERS)
    for written, sound in SOUNDS:
        if written in text:
            text = text.replace(written, sound)
    return TWICE.sub(r"\1", text)


def _latin_words(words: frozenset[str]) -> frozenset[str]:
    return frozenset(latin(word) for word in words)


FIRST: Final = _latin_words(FIRST_NAMES)
TOWN: Final = _latin_words(TOWNS)
SAME: Final = {latin(one): latin(other) for one, other in SAME_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Person:
    """In Latin letters. `first` and `patronymic`: initials; `first_name` and `patronymic_name` where written out."""

    surname: str | None
    first: str | None
    patronymic: str | None
    first_name: str | None
    patronymic_name: str | None


NOBODY: Final = Person(None, None, None, None, None)


@lru_cache(maxsize=200_000)
def person(text: str) -> Person:
    """The parts of a person's name in any order, told by known first names and by the endings of patronymics."""
    words = [latin(word) for word in re.findall(r"[^\W\d_]+", text)]
    words = [SAME.get(word, word) for word in words if word]
    fathers = [word for word in words if len(word) > 1 and word not in FIRST and PATRONYMIC.search(word)]
    patronymic_name = fathers[-1] if fathers else None  # Abramovich Roman Arkadevich
    first_name = next((word for word in words if word in FIRST), None)
    rest = [word for word in words if word not in (patronymic_name, first_name)]
    surname = next((word for word in rest if len(word) > 1), None)
    initials = [word for word in rest if len(word) == 1]
    first = first_name[0] if first_name else initials.pop(0) if initials else None
    patronymic = patronymic_name[0] if patronymic_name else initials.pop(0) if initials else None
    return Person(surname, first, patronymic, first_name, patronymic_name)


@dataclass(frozen=True, slots=True)
class Name:
    """`squashed`: the words that tell, in Latin letters, without blanks; `words`: the same, sorted; none of a person
    whose surname is not said.

    `initials`: of a name of several words; `digits`: all of the name's; `holder`: person, company or None.
    `numbers`: tax numbers that stand in the name.
    """

    squashed: str | None
    words: tuple[str, ...]
    initials: str | None
    digits: str
    holder: str | None
    person: Person
    numbers: tuple[str, ...] = ()


NO_NAME: Final = Name(None, (), None, "", None, NOBODY)


def taken_apart(name: str | None, key: str | None, town: str | None, kind: str | None) -> Name:
    """`name`: for display, its legal form last; `key`: for comparing, both of `core.cleaning`; `town`: of `city`.

    `kind`: what the tax number says of its holder: person, company or None.
    """
    if not key or _names_nobody(key):
        return NO_NAME
    found = plain(name, key)
    name, key = found.name, found.key
    if not key or _names_nobody(key):
        return replace(NO_NAME, numbers=found.numbers)
    form = next((form for form in FORMS if name and name.endswith(f" {form}")), None)
    if not form and key.startswith(LATIN_SOLE):
        form, key = "ИП", key.removeprefix(LATIN_SOLE)
    parts = person(key) if found.is_person or _personal(key, form, kind) else NOBODY
    sure = found.is_person or form in SOLE or (parts.surname and parts.first and parts.patronymic)
    own = "person" if sure else "company" if form else None
    if parts is not NOBODY and not parts.surname:
        return Name(None, (), None, "", _agreed(own, kind), parts, found.numbers)
    short = key
    for written, abbreviated in ABBREVIATIONS:
        if written in short:
            short = short.replace(written, abbreviated)
    words = [written for word in short.split() if (written := latin(word))]
    if parts is NOBODY:
        behind = {latin(word) for word in town.split()} if town else set()
        while len(words) > 1 and (words[-1] in FIRST or words[-1] in TOWN or words[-1] in behind):
            words.pop()
            if len(words) > 1 and words[-1] in BEFORE_A_TOWN:
                words.pop()
    if not words:
        return replace(NO_NAME, numbers=found.numbers)
    given = key.split()
    return Name(
        squashed="".join(words),
        words=tuple(sorted(words)),
        initials=latin("".join(word[0] for word in given)) if len(given) >= INITIAL_WORDS else None,
        digits="".join(letter for word in words for letter in word if letter.isdigit()),
        holder=_agreed(own, kind),
        person=parts,
        numbers=found.numbers,
    )


def _names_nobody(key: str) -> bool:
    """Whether it is typed to fill the field; "тест тест тест" as "тест"."""
    return key in NO_NAMES or " ".join(dict.fromkeys(key.split())) in NO_NAMES


def _agreed(own: str | None, kind: str | None) -> str | None:
    """What the name and the number say of the holder; nothing where they differ."""
    return None if own and kind and own != kind else own or kind


def _personal(key: str, form: str | None, kind: str | None) -> bool:
    if form in SOLE or kind == "person":
        return True
    if form or kind == "company" or len(key.split()) > 3:
        return False
    found = person(key)
    return bool(INITIALS.fullmatch(key) or found.first_name)


@lru_cache(maxsize=50_000)
def city(text: str) -> str | None:
    """The town without "г." and with its usual abbreviation undone, small letters."""
    plain = re.sub(r"[^\w]+", " ", text.lower().replace("ё", "е")).strip()
    plain = re.sub(r"^(?:г|гор|город|пгт|с|д|п|пос)\s+|\s+г$", "", plain).strip()
    return CITY_ALIASES.get(plain, plain) or None
