"""Cleaning of single values: phones, e-mails, tax numbers, names, as people and exports write them.

Pure functions, called once a distinct value; the answers are kept in `ops.clean_value`. A value that
cannot be cleaned without guessing has no clean value but a problem: a sentence that names the value, the
cause and the remedy. Blank values and lone dashes are absent: neither value nor problem.
Cleaning a clean value changes nothing.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from pathlib import Path

from pipelines.core.legal_name import INVISIBLE, legal_name, legal_name_key, settled

MAX_LENGTH = 1_000  # of a value; longer ones are texts in the wrong field
SHOWN_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Cleaned:
    value: str | None
    problem: str | None = None


class _ProblemError(Exception):
    """Cause and remedy of a value that cannot be cleaned."""

    def __init__(self, cause: str, remedy: str) -> None:
        self.cause, self.remedy = cause, remedy


@functools.cache
def fingerprint() -> str:
    """Of all that an answer hangs on: this code, and the libraries that know the numbers of the world."""
    code = (Path(__file__), Path(__file__).with_name("legal_name.py"))
    texts = [path.read_text(encoding="utf-8") for path in code]
    texts += [version(name) for name in ("phonenumbers", "python-stdnum", "email-validator")]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def clean(kind: str, values: Sequence[str], country: str = "RU") -> list[Cleaned]:
    """Clean values of one kind; the answers stand in the order of the values.

    `kind`: phone (E.164), email (lower case), tax_number (INN of 10 or 12 digits; VAT id with its country
    elsewhere), kpp, ogrn, legal_name (for display), legal_name_key (for comparing), person_name,
    address (as it is written, in one line).
    `country`: ISO 3166 alpha-2 of the value's owner, for phones and tax numbers.
    Raises ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no cleaning is called {kind!r}; there are {', '.join(KINDS)}")
    one = KINDS[kind](country.upper())
    label = kind.upper() if kind in ("kpp", "ogrn") else kind.replace("_", " ")
    answers: dict[str, Cleaned] = {}
    for value in values:
        if value not in answers:
            answers[value] = _clean_one(label, one, value)
    return [answers[value] for value in values]


def _clean_one(label: str, one: Callable[[str], str], value: str) -> Cleaned:
    text = " ".join(unicodedata.normalize("NFKC", value).translate(INVISIBLE).split())
    if not text.strip("-–—−_ "):
        return Cleaned(None)
    try:
        if len(text) > MAX_LENGTH:
            raise _ProblemError(f"is {len(text)} characters long", "move the text to a comment field")
        return Cleaned(one(text))
    except _ProblemError as problem:
        given = value if len(value) <= SHOWN_LENGTH else value[:SHOWN_LENGTH] + "..."
        return Cleaned(None, f'{label} "{given}" {problem.cause}; {problem.remedy}')


# --- phone ---

EXTENSION = re.compile(r"(?i)(?:доб|вн(?:утр)?|ext|extension|extn|x|#)[а-яa-z]*[.:\s]*\d{1,6}")
RUN = re.compile(r"\+?\s?\(?\d[\d\s().\-‐‑–—−]{3,}\d")
ASK_PHONE = "ask for the number and write it with its code, as +7 495 123-45-67"


def _phones(country: str) -> Callable[[str], str]:
    import phonenumbers

    def valid(text: str) -> str | None:
        try:
            number = phonenumbers.parse(text, country)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_valid_number(number):
            return None
        number.extension = None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def phone(text: str) -> str:
        text = EXTENSION.sub(" ; ", _plain_number(text))
        runs = [run for part in re.split(r"[,;|/]|\bили\b|\bи\b", text) for run in RUN.findall(part)]
        for run in runs:
            for candidate in _spellings(run, country):
                if found := valid(candidate):
                    return found
        digits = re.sub(r"\D", "", text)
        if not digits:
            raise _ProblemError("holds no number", ASK_PHONE)
        if country == "RU" and len(digits) in (5, 6, 7):
            raise _ProblemError("lacks the code of its town", ASK_PHONE)
        if not runs or len(digits) < 7:
            raise _ProblemError("is too short for a phone number", ASK_PHONE)
        raise _ProblemError(f"is no phone number in use ({len(digits)} digits, country {country})", ASK_PHONE)

    return phone


def _spellings(run: str, country: str) -> list[str]:
    """The ways to read a run of digits, the most literal first."""
    digits = re.sub(r"\D", "", run)
    plus = run.lstrip().startswith("+")
    readings = [f"+{digits}"] if plus else [digits]
    if country in ("RU", "KZ"):
        if len(digits) == 11 and digits[0] == "8":
            # 8 is the trunk prefix, and so is "+8 (495)", while "+8495..." may be Vietnam's +84.
            literal = readings if re.match(r"\s*\+\s?8\d", run) else []
            readings = [*literal, f"+7{digits[1:]}"]
        elif len(digits) == 11 and digits[0] == "7":
            readings = [f"+{digits}"]
        elif len(digits) == 12 and digits.startswith("78"):
            readings.append(f"+7{digits[2:]}")  # "+7 8 916 ..."
        elif len(digits) == 10 and not plus:
            readings = [f"+7{digits}"]
        # Two numbers, or a number and "(9-18)", with nothing but a blank between them
        seam = re.match(r"\+?\s?[78](?:\D*\d){10}(?=\s)", run)
        if seam and (len(digits) - 11 >= 10 or run[seam.end() :].lstrip().startswith("(")):
            readings.append("+7" + re.sub(r"\D", "", seam[0])[1:])
    if not plus and len(digits) > 10:
        readings.append(f"+{digits}")
    return readings


# --- e-mail ---


def _emails(country: str) -> Callable[[str], str]:
    from email_validator import EmailNotValidError, validate_email

    remedy = "ask for the address and correct it"

    def email(text: str) -> str:
        text = re.sub(r"(?i)(mailto|e-?mail|почта)\s*:\s*", " ", text)
        text = re.sub(r"\s*@\s*", "@", text)
        if any(_is_torn(word) for word in re.split(r"[\s|<>]+", text)):
            raise _ProblemError("has a comma, semicolon or slash inside, where a dot may be meant", remedy)
        candidates = [
            word.strip("<>()[]{}\"'«».,;:!") for word in re.split(r"[\s,;|<>]+|/", text) if "@" in word
        ]
        if not candidates:
            raise _ProblemError('holds no "@"', remedy)
        cause = ""
        for candidate in candidates:
            if mixed := _mixed_scripts(candidate):
                cause = cause or f"mixes Latin and Cyrillic letters ({mixed})"
                continue
            try:
                found = validate_email(candidate, check_deliverability=False)
            except EmailNotValidError as error:
                cause = cause or f"is no e-mail address ({str(error).rstrip('.')})"
                continue
            return found.normalized.lower()
        raise _ProblemError(cause, remedy)

    return email


def _is_torn(word: str) -> bool:
    """Whether a sign that parts addresses stands within one: of "ivan,petrov@mail.ru" what is behind it is an address, too,
    and somebody else's."""
    parts = re.split(r"[,;/]", word)
    return "@" in word and any(re.fullmatch(r"[\w.%+-]*[a-zA-Z][\w.%+-]*", part, re.ASCII) for part in parts)


def _mixed_scripts(text: str) -> str | None:
    for part in re.split(r"[@.\-_+]", text):
        if re.search("[a-zA-Z]", part) and re.search("[а-яА-ЯёЁ]", part):
            return part
    return None


# --- numbers of registers ---

ASK_CARD = "compare it with the counterparty's registration card and correct it"
# Digits in a row whose check digit happens to be right: typed where there is no number
PLACEHOLDERS = frozenset(("1234567894", "123456789047", "123456789110"))
LOST_DIGITS = "was rounded by a spreadsheet, its last digits are lost"


def _plain_number(text: str) -> str:
    """Undo what spreadsheets do to numbers: 7701234567.0, 7.701234567E+09, '7701234567."""
    text = text.strip("'’` ")
    if re.fullmatch(r"\d{4,}[.,]0+", text):
        return re.split("[.,]", text)[0]
    if match := re.fullmatch(r"(\d)[.,](\d+)[eEеЕ]\+?(\d{1,2})", text):
        if len(match[2]) < int(match[3]) - 1:
            raise _ProblemError(LOST_DIGITS, "export the column as text")
        return format(Decimal(f"{match[1]}.{match[2]}e{match[3]}").to_integral_value(), "f")
    return text


def _bare(text: str, name: str) -> str:
    """The number without its name and separators."""
    text = re.sub(rf"(?i)^\W*{name}\W*", "", _plain_number(text))
    return re.sub(r"[\s\-–—−.]", "", text).upper()


def _tax_numbers(country: str) -> Callable[[str], str]:
    if country in ("RU", ""):
        return _inn
    return partial(_foreign_tax_number, country=country)


def _inn(text: str) -> str:
    from stdnum.ru import inn

    # "7701234567/770101001" and "ИНН 7701234567 КПП 770101001" are one cell with two numbers
    first = re.split(r"[/\\,;]|(?i:кпп)", re.sub(r"(?i)инн/кпп", "ИНН", text))[0]
    digits = _bare(first, "(?:инн|inn)")
    if not re.fullmatch(r"[0-9]+", digits):
        raise _ProblemError("is no INN: an INN has digits only", ASK_CARD)
    if not digits.strip("0"):
        raise _ProblemError("is a placeholder of zeros", "fill in the true INN or leave it empty")
    if len(digits) in (9, 11):
        if re.fullmatch(r"\d{4}01001", digits):
            raise _ProblemError("has 9 digits and looks like a KPP", "move it to the field of the KPP")
        restored = f"0{digits}"
        if not inn.is_valid(restored) or restored.startswith("00"):
            raise _ProblemError(
                f"has {len(digits)} digits, and with a leading zero its check digit is wrong", ASK_CARD
            )
        return restored
    if len(digits) not in (10, 12):
        raise _ProblemError(f"has {len(digits)} digits; an INN has 10 or 12", ASK_CARD)
    if digits.startswith("00"):
        raise _ProblemError("begins with 00, which is no tax region", ASK_CARD)
    right = (
        inn.calc_company_check_digit(digits) if len(digits) == 10 else inn.calc_personal_check_digits(digits)
    )
    if not digits.endswith(right):
        raise _ProblemError(
            f"ends in {digits[-len(right) :]}, by its other digits that must be {right}",
            ASK_CARD,
        )
    if digits in PLACEHOLDERS:
        raise _ProblemError("is a placeholder of digits in a row", "fill in the true INN or leave it empty")
    return digits


def _foreign_tax_number(text: str, country: str) -> str:
    """A VAT id of the European Union with its country's letters; elsewhere what the country's rule says.

    A country without a known rule: letters and digits, 5 to 20 of them, unchecked.
    """
    from stdnum.eu import vat
    from stdnum.exceptions import ValidationError
    from stdnum.util import get_cc_module

    number = re.sub(r"[^0-9A-ZА-Я]", "", _bare(text, rf"(?:{LABELS})\b(?:\s*(?:id|no|nr|number)\b)?"))
    if country == "KZ":
        return _kazakh_number(number)
    try:
        if country.lower() in vat.MEMBER_STATES:
            letters = "EL" if country == "GR" else country
            for prefix in {letters, country}:
                number = number.removeprefix(prefix)
            return str(vat.validate(letters + number))
        module = get_cc_module(country.lower(), OTHER_NUMBERS.get(country, "vat"))
        if module is not None:
            return str(module.validate(number))
    except ValidationError as error:
        raise _ProblemError(f"is no tax number of {country} ({str(error).rstrip('.')})", ASK_CARD) from error
    if not re.fullmatch(r"[0-9A-Z]{5,20}", number) or not re.search(r"\d", number):
        raise _ProblemError(f"is no tax number of {country} (5 to 20 letters and digits)", ASK_CARD)
    return number


def _kazakh_number(number: str) -> str:
    """BIN or IIN: year and month, eight digits more and a check digit: the rest by 11, of a second row of weights where
    the first leaves 10. A number that lost its leading zero gets it back, as an INN does."""
    digits = f"0{number}" if len(number) == 11 else number
    if not re.fullmatch(r"[0-9]{12}", digits):
        raise _ProblemError("is no BIN or IIN: it has 12 digits", ASK_CARD)
    given = [int(digit) for digit in digits]
    for weights in (range(1, 12), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)):
        right = sum(digit * weight for digit, weight in zip(given, weights, strict=False)) % 11
        if right < 10:
            break
    if not 1 <= int(digits[2:4]) <= 12 or right != given[-1]:
        raise _ProblemError("is no BIN or IIN: its month or its check digit is wrong", ASK_CARD)
    return digits


# What people write before a number: its name, here or in its country
LABELS = "vat|tax|ust|cui|cif|ein|tin|nip|nif|unp|bin|iin|vkn|edrpou|idno|унп|бин|иин|бин/иин|едрпоу|єдрпоу|инн|пин"
# Where python-stdnum names the number of companies otherwise than `vat`
OTHER_NUMBERS = {"UA": "edrpou", "US": "ein", "MD": "idno"}


def _kpp(text: str) -> str:
    """9 characters: tax office, reason (two digits or Latin letters), number; FNS order ММВ-7-6/435@."""
    number = _bare(text, "(?:кпп|kpp)")
    if re.fullmatch(r"\d{8}", number):
        number = f"0{number}"
    if not re.fullmatch(r"\d{4}[0-9A-Z]{2}\d{3}", number, re.ASCII):
        raise _ProblemError("is no KPP: that has 9 characters, like 770101001", ASK_CARD)
    if number.startswith("00"):
        raise _ProblemError("begins with 00, which is no tax region", ASK_CARD)
    return number


def _ogrn(text: str) -> str:
    """13 digits of a company, 15 of an entrepreneur; the last is the last of the rest by 11, by 13."""
    number = _bare(text, "(?:огрнип|огрн|ogrnip|ogrn)")
    if not re.fullmatch(r"[0-9]{13}|[0-9]{15}", number):
        raise _ProblemError("is no OGRN: it has 13 digits, that of an entrepreneur 15", ASK_CARD)
    if number[0] == "0" or (len(number) == 15 and number[0] not in "34"):
        raise _ProblemError(f"begins with {number[0]}, as no OGRN of {len(number)} digits does", ASK_CARD)
    right = str(int(number[:-1]) % (11 if len(number) == 13 else 13))[-1]
    if number[-1] != right:
        raise _ProblemError(f"ends in {number[-1]}, by its other digits it is {right}", ASK_CARD)
    return number


# --- names ---


def _legal_name(text: str) -> str:
    found = legal_name(text)
    if not found:
        raise _ProblemError("is a legal form or signs without a name", "fill in the name as registered")
    return found


def _legal_name_key(text: str) -> str:
    found = legal_name_key(text)
    if not found:
        raise _ProblemError("is a legal form or signs without a name", "fill in the name as registered")
    return found


PARTICLES = frozenset(("оглы", "кызы", "заде", "фон", "ван", "дер", "van", "von", "de", "der", "da", "di"))


def _person_name(text: str) -> str:
    """Capital first letters, initials as "И. И."; the order of the parts stays as it is."""
    remedy = "fill in the person's name"
    if "@" in text or re.search(r"\d", text):
        raise _ProblemError("holds a number or an address", f"{remedy} and move the rest to its own field")
    if not any(character.isalpha() for character in text):
        raise _ProblemError("holds no letters", remedy)
    return settled(text, _with_capitals) or text


def _with_capitals(text: str) -> str:
    text = re.sub(r"(?<=\w)\.(?=\S)", ". ", re.sub(r"\s*\.", ".", unicodedata.normalize("NFKC", text)))
    words = text.strip(" ,;:").split()
    return " ".join(_capitalised(word, first=not n) for n, word in enumerate(words))


def _capitalised(word: str, *, first: bool) -> str:
    if not first and word.lower() in PARTICLES:
        return word.lower()
    if not (word.isupper() or word.islower()):
        return word  # "McDonald", "Д'Артаньян" know better
    return re.sub(r"(^|[-'’])(\w)", lambda m: m[1] + m[2].title(), word.lower())


# --- addresses ---


def _address(text: str) -> str:
    """As it is written, without marks at its ends."""
    found = re.sub(r"\bNo\.?(?=\s?\d)", "№", text).strip(" ,;")  # the sign itself was taken apart
    if not re.search(r"[^\W_]", found):
        raise _ProblemError("is no address", "fill in the address or leave it empty")
    return found


KINDS: dict[str, Callable[[str], Callable[[str], str]]] = {
    "phone": _phones,
    "email": _emails,
    "tax_number": _tax_numbers,
    "kpp": lambda country: _kpp,
    "ogrn": lambda country: _ogrn,
    "legal_name": lambda country: _legal_name,
    "legal_name_key": lambda country: _legal_name_key,
    "person_name": lambda country: _person_name,
    "address": lambda country: _address,
}
