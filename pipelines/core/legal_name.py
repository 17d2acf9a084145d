"""Names of companies: the legal form told from the name, for display and for comparing.

ООО "Ромашка", Ромашка ООО, OOO «РОМАШКА» and Общество с ограниченной ответственностью "Ромашка" are
one: displayed as `Ромашка ООО` (capitals as given), compared as `ромашка`. The form stands last, as
1C's own short names have it, so that a list sorts by name.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable

MAX_ROUNDS = 8  # until nothing changes any more; two are enough for names that people write

# Form -> its spellings, as patterns. Full names are loose in their endings: registers misspell them.
LIMITED = r"общ\w*\s+с\s+о(?:гра|рга)ни\w*\s+ответ\w*"
JOINT_STOCK = r"акционер\w*\s+обще\w*"
FORMS: dict[str, str] = {
    "МКООО": rf"международн\w*\s+компан\w*\s+{LIMITED}|мкооо",
    "МКАО": rf"международн\w*\s+компан\w*\s+{JOINT_STOCK}|мкао",
    "ООО": rf"{LIMITED}|о\.?о\.?о\.?",
    "ОДО": r"общ\w*\s+с\s+дополнительн\w*\s+ответ\w*|одо",
    "ПАО": rf"публичн\w*\s+{JOINT_STOCK}|п\.а\.о\.|пао",
    "НАО": rf"непубличн\w*\s+{JOINT_STOCK}|нао",
    "ОАО": rf"открыт\w*\s+{JOINT_STOCK}|о\.?а\.?о\.?",
    "ЗАО": rf"закрыт\w*\s+{JOINT_STOCK}|з\.?а\.?о\.?",
    "АО": rf"{JOINT_STOCK}|ао",
    "ТОО": r"товариществ\w*\s+с\s+ограни\w*\s+ответ\w*|т\.?о\.?о\.?",
    # И.П. before a surname alone are initials
    "ИП": r"индивидуальн\w*\s+предпринимател\w*|и\.\s?п\.(?=\s+\w{3,}\s+(?:\w\.|\w+\s+\w+(?:вич|вна|ична)\b))|ип|пбоюл",
    "ЧП": r"частн\w*\s+предприяти\w*|чп",
    "КФХ": r"глава\s+кфх|крестьянск\w*\s*(?:\(?фермерск\w*\)?)?\s*хозяйств\w*|кфх",
    "СПК": r"сельскохозяйственн\w*\s+производственн\w*\s+кооператив(?:\s*\(колхоз\))?|спк(?:\s*\(колхоз\))?",
    "ФГУП": r"федеральн\w*\s+государственн\w*\s+унитарн\w*\s+предприяти\w*|фгуп",
    "ГУП": r"государственн\w*\s+унитарн\w*\s+предприяти\w*|гуп",
    "МУП": r"муниципальн\w*\s+унитарн\w*\s+предприяти\w*|муп",
    "АНО": r"автономн\w*\s+некоммерческ\w*\s+организаци\w*|ано",
    "НКО": r"некоммерческ\w*\s+организаци\w*|нко",
    "ТСЖ": r"товариществ\w*\s+собственников\s+жилья|тсж",
    "ЖСК": r"жилищно\s*-?\s*строительн\w*\s+кооператив|жск",
    "LLC": r"limited\s+liability\s+company|l\.?l\.?c\.?",
    "Ltd": r"limited|ltd\.?",
    "Inc": r"incorporated|inc\.?",
    "Corp": r"corporation|corp\.?",
    "PLC": r"plc|p\.l\.c\.",
    "GmbH": r"gmbh|gesellschaft\s+mit\s+beschränkter\s+haftung",
    "AG": r"ag",
    "S.A.": r"s\.a\.|sa",
    "S.r.l.": r"s\.r\.l\.|srl",
    "Sp. z o.o.": r"sp\.\s*z\s*o\.?\s*o\.?",
    "B.V.": r"b\.v\.|bv",
    "Oy": r"oy",
}
NEVER_FIRST = frozenset(("AG", "S.A.", "B.V.", "Oy", "Inc", "Corp", "PLC"))  # "AG Motors" is a name
FIRST_OTHERWISE = {"Ltd": r"ltd\.?"}  # "Limited Edition" is a name
EDGE = r"[\s\"',.;:()\-]"
SPELLINGS = {form: f"(?P<f{number}>{pattern})" for number, (form, pattern) in enumerate(FORMS.items())}
FIRST_SPELLINGS = {
    form: f"(?P<f{number}>{FIRST_OTHERWISE.get(form, pattern)})"
    for number, (form, pattern) in enumerate(FORMS.items())
    if form not in NEVER_FIRST
}
FIRST = re.compile(rf"{EDGE}*(?:{'|'.join(FIRST_SPELLINGS.values())})(?:\)|(?=[\s\",(]|$))", re.I)
LAST = re.compile(rf"(?:^|[\s\",)])\(?(?:{'|'.join(SPELLINGS.values())}){EDGE}*$", re.I)
NAMES = tuple(FORMS)
QUOTES = re.compile(r"<<|>>|''|[«»„“”‟‹›″〝〞`´]|(?<!\w)'|'(?!\w)")
ENTITIES = re.compile(r"&(?:quot|amp|laquo|raquo|apos|lt|gt|nbsp|#\d{2,5});")  # ООО &quot;Ромашка&quot;
# Short forms typed on the wrong keyboard or with a digit, each as long as what stands for it
LATIN_FORMS = (
    (re.compile(r"(?<!\w)[OОoо0]{3}(?!\w)"), "ООО"),
    (re.compile(r"(?<!\w)[OОoо][AАaа][OОoо](?!\w)"), "ОАО"),
    (re.compile(r"(?<!\w)[3Зз][AАaа][OОoо](?!\w)"), "ЗАО"),
    (re.compile(r"(?<!\w)[TТtт][OОoо]{2}(?!\w)"), "ТОО"),
    (re.compile(r"(?<!\w)(?:[AА]О|А[OО])(?!\w)"), "АО"),
)
# ОООРомашка, РомашкаООО; in capitals throughout only what begins no word, as ЗАО begins ЗАОЧНЫЙ
GLUED = re.compile(
    r"^(\W*)([OО]{3}(?=[A-ZА-ЯЁ])|(?:[OО][AА][OО]|З[AА][OО]|ПАО|НАО|ИП)(?=[А-ЯЁ][а-яё]))|(?<=[a-zа-яё])()([OО]{3}|ОАО|ЗАО|ПАО)(?=\W*$)"
)
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u2060\ufeff\0"))
LOOKALIKES = str.maketrans("ABCEHKMOPTXYaceopxy", "АВСЕНКМОРТХУасеорху")


def legal_name(text: str) -> str:
    """The name for display, its form last; empty if there is nothing but a form."""
    return settled(text, _display)


def legal_name_key(text: str) -> str:
    """The name for comparing: no form, quotes, signs, capitals or ё; empty if nothing is left.

    Equal keys are no proof of one company: many have the same name. Tax numbers decide.
    """
    return settled(text, _key)


def settled(text: str, step: Callable[[str], str]) -> str:
    """Repeat a step until it changes nothing, so that what is clean stays as it is."""
    for _ in range(MAX_ROUNDS):
        before, text = text, step(text)
        if text == before:
            return text
    return ""  # no name that people write


def _display(text: str) -> str:
    form, name = _split(text)
    return f"{name} {form}".strip() if _says_something(name) else ""


def _key(text: str) -> str:
    form, name = _split(text)
    for _ in range(MAX_ROUNDS):
        if not form:
            break
        form, name = _split(name)
    folded = unicodedata.normalize("NFKC", name.casefold()).replace("ё", "е")
    key = " ".join(_one_script(word) for word in re.sub(r"[^\w+&]|_", " ", folded).split())
    return key if _says_something(key) else ""


def _split(text: str) -> tuple[str, str]:
    """The form ("" if there is none) and the rest of a name. A Russian form at the end goes first."""
    text = ENTITIES.sub(lambda entity: html.unescape(entity[0]), text)
    text = " ".join(QUOTES.sub('"', unicodedata.normalize("NFKC", text).translate(INVISIBLE)).split())
    whole = re.fullmatch(r"(.*\S)\s*\((.+)\)", text)
    if whole and FIRST.match(_russian_forms(whole[2])) and _key(whole[2]) == _key(whole[1]) != "":
        text = whole[1]  # Общество с ... «Ромашка» (ООО «Ромашка»)
    text = GLUED.sub(lambda glued: f"{glued[1] or ''} {glued[2] or glued[4]} ", text).strip()
    folded = _russian_forms(text)
    last, first = LAST.search(folded), FIRST.match(folded)
    if last and (not first or _form(last)[0] > "z"):
        return _form(last), _tidy(text[: last.start()] + _kept(last))
    if first:
        return _form(first), _tidy(text[first.end() :])
    return "", _tidy(text)


def _form(match: re.Match[str]) -> str:
    return NAMES[int((match.lastgroup or "f0")[1:])]


def _kept(match: re.Match[str]) -> str:
    """A closing quote or bracket before the form belongs to the name."""
    return match[0][0] if match[0][0] in '")' else ""


def _russian_forms(text: str) -> str:
    if re.search("[a-zA-Z0]|3", text):
        for pattern, form in LATIN_FORMS:
            text = pattern.sub(form, text)
    return text


def _tidy(name: str) -> str:
    """Outer quotes go, inner ones stay if every one has its pair: Торговый дом "Ромашка"."""
    name = re.sub(r'"(?:\s*")+', '"', name).strip(" ,;:-")
    nested = re.match(r'"[^"]*[\s-]"\S', name)
    if name.startswith('"') and (nested or re.fullmatch(r'"[^"]*"?', name)):
        name = name[1:]
        if name.endswith('"') and name.count('"') % 2:
            name = name[:-1]
    if name.count('"') % 2:
        name = name.replace('"', " ")
    return " ".join(re.sub(r'^"\s+|\s+"$', '"', name).split()).strip(" ,;:-")


def _one_script(word: str) -> str:
    """A Russian word with Latin letters in it that look the same, in Russian letters."""
    return word.translate(LOOKALIKES) if re.search("[а-я]", word) else word


def _says_something(text: str) -> bool:
    return any(unicodedata.category(character)[0] in "LN" for character in text)
