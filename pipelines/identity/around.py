"""What people write around a name that is no part of it: numbers, "(старая)", "не использовать", "самозанятый"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pipelines.core.legal_name import FORMS, legal_name, legal_name_key

MAX_ROUNDS: Final = 6  # of taking things off; nobody writes as many around one name

# Names of the field that begin with one of these, or hold a long number, are looked at; all others are plain.
ROUGH: Final = re.compile(
    r"\b(?:предприниматель|самозанят|физ|гр|граждан|г н|г жа|господин|госпожа|чл|инн|кпп|огрн|inn|kpp|стар|не исп|не ?акт"
    r"|дубл|копия|архив|закрыт|удал|на удал|к удал|ликвид|duplicate|old|copy|do not use)|\d{9}"
)
# No company is called so: it may stand at either end.
PHRASE: Final = (
    r"не\s+использовать|не\s?актуальн\w+|(?:удалить|(?:на|к)\s+удалени[ею])|карточка\s+не\s+использ\w+|do\s+not\s+use"
    r"|(?:старая|дубль)\s+карточк\w"
)
# Companies may be called so, and "Старая мельница" is: only what is set apart from the name, by brackets or a sign.
MARK: Final = (
    rf"{PHRASE}|(?:дубль|дубликат|копия|duplicate|copy)(?:\s*(?:[Nn]o?|[№#])?\.?\s*\d{{1,2}})?|стар(?:ая|ый|ое|ые)|old|архив(?:н\w+)?"
    r"|закрыт[аоы]?|ликвидирован\w*"
)
SIGN: Final = r"(?:\s+[-–—/|]\s+|\s*[,;:!*_|\[(]+\s*)"
SHORT_FORMS: Final = "|".join(form for form in FORMS if form.isupper() and form.isalpha())
OFF: Final = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (rf"[(\[{{*_]+\s*!*\s*(?:{MARK})\s*[!.]*\s*[)\]}}*_]+", re.I),
        (rf"{SIGN}(?:{MARK})\W*$", re.I),
        (rf'(?<=")\s*(?:{MARK})\W*$', re.I),  # behind a closing quote
        (rf"^\W*(?:{MARK}){SIGN}", re.I),
        (rf'^\W*(?:{MARK})\s+(?="|(?:{SHORT_FORMS})\b)', re.I),
        (rf"(?:^|\s)\W*(?:{PHRASE})\W*$", re.I),
        (rf"^\W*(?:{PHRASE})\b\W*", re.I),
        # In small letters beside a name in capital ones
        (r"(?<=\w)\s+(?:дубль|дубликат)(?:\s*(?:[Nn]o?|[№#])?\.?\s*\d{1,2})?\W*$", 0),
        (r'^\W*(?:дубль|дубликат)\s+(?=["A-ZА-ЯЁ])', 0),
    )
)
NAMED_NUMBER: Final = re.compile(
    r"[(\[]?\s*\b(?:инн|inn)\b(?:\s*/\s*кпп)?\W{0,4}(\d{9,12})(?:\s*/\s*\d{9})?(?!\d)\s*[)\]]?", re.I
)
OTHER_NUMBER: Final = re.compile(r"[(\[]?\s*\b(?:кпп|kpp|огрн(?:ип)?)\b\W{0,4}\d{9,15}(?!\d)\s*[)\]]?", re.I)
BARE_NUMBER: Final = re.compile(r"[(\[]?(?<![\d+])(\d{12}|\d{10})(?!\d)[)\]]?")

# Who is called so is a person.
SURELY: Final = r"самозанят(?:ый|ая)|физ(?:\.|ич\.|ическое)?\s*-?\s*лицо"
PERHAPS: Final = r"предприниматель|гражданин|гражданка|гр-?(?:н|ка)|гр\.?|г-н|г-жа|господин|госпожа|ч\.?л\.?"
BEFORE_A_PERSON: Final = re.compile(rf"^\W*(?:(?P<surely>{SURELY})|(?:{PERHAPS}))(?!\w)[\s,.:;()\-–—]*", re.I)
BEHIND_A_PERSON: Final = re.compile(
    rf"(?:\s+(?P<surely>{SURELY})|\s*[,(]\s*(?:{SURELY}|предприниматель))\W*$", re.I
)
SURNAME: Final = re.compile(r"\w{2,}(?:[оеё]в|ин|ын|ский|цкий)а?|\w{2,}(?:ская|цкая|енко)")
INITIALS: Final = re.compile(r"\w{3,} \w \w|\w \w \w{3,}")


@dataclass(frozen=True, slots=True)
class Plain:
    """A name for display and for comparing. `is_person`: a word before it said so; `numbers`: tax numbers that stood in it."""

    name: str | None
    key: str
    is_person: bool = False
    numbers: tuple[str, ...] = ()


def plain(name: str | None, key: str) -> Plain:
    """The name without what stands around it; itself where nothing would be left but numbers. Both of `core.cleaning`.

    What is taken off only ever stands at an end or in brackets, so that names which differ otherwise stay different.
    """
    if not name or not ROUGH.search(key):
        return Plain(name, key)
    form = next((form for form in FORMS if name.endswith(f" {form}")), "")
    text, numbers = _without_numbers(name.removesuffix(f" {form}") if form else name)
    text = _without_marks(text)
    is_person, text = _person(text) if form in ("", "ИП") else (False, text)
    rest = f"{text} {form}".strip()
    if rest == name:
        return Plain(name, key)
    shown, found = legal_name(rest), legal_name_key(rest)
    return Plain(shown or None, found, is_person, numbers) if found or numbers else Plain(name, key)


def _without_numbers(text: str) -> tuple[str, tuple[str, ...]]:
    """Tax numbers that stand in a name, named as such, or right in their check digits; other registers' are dropped."""
    from stdnum.ru import inn

    found: list[str] = []

    def taken(match: re.Match[str]) -> str:
        found.append(match[1])
        return " "

    text = OTHER_NUMBER.sub(" ", NAMED_NUMBER.sub(taken, text))
    text = BARE_NUMBER.sub(lambda match: taken(match) if inn.is_valid(match[1]) else match[0], text)
    return (" ".join(text.split()) if found else text.strip()), tuple(dict.fromkeys(found))


def _without_marks(text: str) -> str:
    for _ in range(MAX_ROUNDS):
        before = text
        for pattern in OFF:
            less = pattern.sub(" ", text).strip()
            text = less if legal_name_key(less) else text
        if text == before:
            break
    return text


def _person(text: str) -> tuple[bool, str]:
    for pattern in (BEFORE_A_PERSON, BEHIND_A_PERSON):
        match = pattern.search(text)
        rest = pattern.sub("", text).strip() if match else ""
        key = legal_name_key(rest)
        if match and key and (match["surely"] or _is_called_so(key)):
            return True, rest
    return False, text


def _is_called_so(key: str) -> bool:
    """Whether a person may be called so: a surname alone, with initials, or with a first name that is known."""
    from pipelines.identity.names import person

    if len(key.split()) == 1:
        return bool(SURNAME.fullmatch(key))
    return bool(INITIALS.fullmatch(key) or (len(key.split()) <= 3 and person(key).first_name))
