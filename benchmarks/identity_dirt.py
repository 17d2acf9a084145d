"""How people write a company's name, numbers and contacts into a CRM: seeded corruption for labelled records.

Every function takes the seed's `Random` first and a clean value after it, and gives the value as somebody typed it.
How often each is done stands with the caller; how a thing is done wrong stands here.
"""

from __future__ import annotations

import re
from random import Random
from typing import Final

ROWS: Final = ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890")
NEIGHBOURS: Final = {
    key: "".join(row[max(0, n - 1) : n] + row[n + 1 : n + 2]) for row in ROWS for n, key in enumerate(row)
}
QUOTES: Final = (("«", "»"), ('"', '"'), ("''", "''"), ("", ""), ("“", "”"))
QUOTE_SHARES: Final = (0.25, 0.40, 0.05, 0.26, 0.04)
# form: its short, spelled out and Latin spellings; others are written short only
FORMS: Final = {
    "ООО": ("ООО", "Общество с ограниченной ответственностью", "OOO"),
    "АО": ("АО", "Акционерное общество", "AO"),
    "ЗАО": ("ЗАО", "Закрытое акционерное общество", "ZAO"),
    "ОАО": ("ОАО", "Открытое акционерное общество", "OAO"),
    "ПАО": ("ПАО", "Публичное акционерное общество", "PAO"),
    "ИП": ("ИП", "Индивидуальный предприниматель", "IP"),
}
# Words that people shorten, and how
SHORTENED: Final = {
    "торговый дом": "тд", "строительная компания": "ск", "производственная компания": "пк",
    "управляющая компания": "ук", "частная охранная организация": "чоо", "группа компаний": "гк",
    "торговая компания": "тк", "транспортная компания": "тк", "научно-производственное": "нп",
    "сельскохозяйственный": "с/х", "производственный": "произв.", "строительный": "строит.", "компания": "комп.",
    "предприятие": "пред-е", "управление": "упр.", "магазин": "маг.",
}  # fmt: skip
# Passport (ICAO), as people type it, and as web addresses have it
TRANSLITERATIONS: Final = tuple(
    dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", letters.split(), strict=True))
    for letters in (
        "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch ie y - e iu ia".replace("-", "`"),
        "a b v g d e yo zh z i y k l m n o p r s t u f h c ch sh sch ` y ` e yu ya",
        "a b v g d e e j z i j k l m n o p r s t u f x ts ch sh sh ` i ` e u ya",
    )
)
CITIES: Final = {
    "санкт-петербург": ("СПб", "Санкт Петербург", "С.-Петербург", "Питер", "спб"),
    "москва": ("Мск", "г.Москва", "МОСКВА", "Moscow"),
    "нижний новгород": ("Н.Новгород", "Н. Новгород", "НН", "Нижний-Новгород"),
    "екатеринбург": ("Екб", "ЕКБ", "Екат"),
    "ростов-на-дону": ("Ростов", "Ростов н/Д", "Ростов на Дону"),
    "краснодар": ("Крд", "г Краснодар"),
}


def typo(random: Random, text: str) -> str:
    """One slip of the hand: a neighbouring key, a letter left out, two swapped, one doubled."""
    places = [n for n, letter in enumerate(text) if letter.isalnum()]
    if len(places) < 3:
        return text
    at = random.choice(places[1:])
    how = random.choices(("neighbour", "drop", "swap", "double"), (0.35, 0.3, 0.2, 0.15))[0]
    if how == "drop":
        return text[:at] + text[at + 1 :]
    if how == "double":
        return text[:at] + text[at] + text[at:]
    if how == "swap":
        return text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :]
    near = NEIGHBOURS.get(text[at].lower())
    if not near:
        return text
    wrong = random.choice(near)
    return text[:at] + (wrong.upper() if text[at].isupper() else wrong) + text[at + 1 :]


def digit_typo(random: Random, digits: str) -> str:
    """One digit wrong, or two neighbours swapped."""
    at = random.randrange(2, len(digits))
    if random.random() < 0.4 and digits[at] != digits[at - 1]:
        return digits[: at - 1] + digits[at] + digits[at - 1] + digits[at + 1 :]
    other = random.choice([digit for digit in "0123456789" if digit != digits[at]])
    return digits[:at] + other + digits[at + 1 :]


def transliterated(random: Random, text: str) -> str:
    letters = random.choice(TRANSLITERATIONS)
    plain = "".join(letters.get(letter, letter) for letter in text.lower()).replace("`", "")
    return plain.title() if text[:1].isupper() else plain


def capitals(random: Random, text: str) -> str:
    """As a register has it, as a heading, as a sentence, or all small."""
    how = random.choices(("upper", "title", "sentence", "lower"), (0.35, 0.35, 0.2, 0.1))[0]
    if how == "title":
        return re.sub(r"\w+", lambda word: word[0][:1].upper() + word[0][1:].lower(), text)
    return {"upper": text.upper(), "sentence": text[:1].upper() + text[1:].lower(), "lower": text.lower()}[
        how
    ]


def shortened(text: str) -> str:
    """The name's usual words shortened; a name of three words and more without them becomes its initials."""
    lowered = text.lower()
    for words, short in SHORTENED.items():
        if words in lowered:
            return lowered.replace(words, short.upper() if len(short) <= 3 else short, 1)
    words_of = re.findall(r"[^\W\d_]+", text)
    return "".join(word[0] for word in words_of).upper() if len(words_of) >= 3 else text


def with_form(random: Random, form: str, name: str) -> str:
    """The legal form short, spelled out, after the name, in Latin letters, or left out; quotes of any kind or none."""
    before, after = random.choices(QUOTES, QUOTE_SHARES)[0]
    if form == "ИП":
        before = after = ""
    short, full, latin = FORMS.get(form, (form, form, form))
    quoted = f"{before}{name}{after}"
    how = random.choices(
        ("short", "full", "after", "comma", "none", "latin"), (0.48, 0.08, 0.17, 0.02, 0.23, 0.02)
    )[0]
    return {
        "short": f"{short} {quoted}",
        "full": f"{full} {quoted}",
        "after": f"{quoted} {short}",
        "comma": f"{quoted}, {short}",
        "none": quoted if random.random() < 0.3 else name,
        "latin": f"{latin} {quoted}",
    }[how].strip()


def yo(random: Random, text: str) -> str:
    """A ё where the register has е."""
    places = [n for n, letter in enumerate(text) if letter in "еЕ"]
    if not places:
        return text
    at = random.choice(places)
    return text[:at] + ("ё" if text[at] == "е" else "Ё") + text[at + 1 :]


def phone(random: Random, e164: str) -> str:
    """+79161234567 as people write it; some with an extension or a remark."""
    d = e164[2:]
    spelling = random.choice(
        (
            "+7{d}", "8{d}", "7{d}", "{d}", "+7 ({a}) {b}-{c}-{e}", "8 ({a}) {b}-{c}-{e}", "8-{a}-{b}-{c}-{e}",
            "+7 {a} {b} {c} {e}", "8({a}){b}{c}{e}", "{a}-{b}-{c}-{e}", "тел. 8 {a} {b}-{c}-{e}",
        )
    )  # fmt: skip
    written = spelling.format(d=d, a=d[:3], b=d[3:6], c=d[6:8], e=d[8:])
    return f"{written} доб. {random.randrange(100, 999)}" if random.random() < 0.05 else written


def city(random: Random, name: str) -> str:
    """Another spelling of a city."""
    known = CITIES.get(name.lower())
    if known and random.random() < 0.5:
        return random.choice(known)
    title = name.title()
    return random.choice(
        (
            f"г. {title}",
            f"г.{title}",
            f"{title} г",
            name.upper(),
            name.lower(),
            f"город {title}",
            typo(random, title),
        )
    )


def contact(random: Random, surname: str, name: str, patronymic: str) -> str:
    """Иван Петров, Петров И.И., Петров Иван Иванович, Петров Иван, Иван Иванович, Иван."""
    return random.choices(
        (
            f"{name} {surname}", f"{surname} {name[0]}.{patronymic[0]}.", f"{surname} {name} {patronymic}",
            f"{surname} {name}", f"{name} {patronymic}", name,
        ),
        (0.3, 0.2, 0.2, 0.15, 0.1, 0.05),
    )[0]  # fmt: skip
