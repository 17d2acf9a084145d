"""Sentences inside sentences: what reading and cleaning said of a value, as a part of a reason.

Such a sentence stands in a column (`problems`, `tax_number_problem` ...), in English, with its remedy. Within
a reason it is said in the reason's language, and a remedy that several of them repeat is left to the reason.
The patterns are common to Python and PostgreSQL; tests hold them against everything that cleaning can say.
"""

from __future__ import annotations

import re
from functools import reduce

from resources.language import Language

SENTENCES = frozenset({"problems", "unread", "tax_number_problem", "set_apart"})
"""Columns that hold sentences."""

REPEATED = (r"\); (correct|fill) it in [a-z][a-z0-9_]*", ")")
"""What reading ends each sentence with; the reason says it once, of all."""

_CARD = ("compare it with the counterparty's registration card and correct it",
         "сверьте с карточкой контрагента и исправьте")  # fmt: skip
RUSSIAN: tuple[tuple[str, str], ...] = (
    # The place, as reading tells it: "(close of deal 17)".
    (r"\(([^()]*) of ([a-z_]+) ([^()]*)\)", r"(поле \1, запись \2 \3)"),
    # What reading says of a value.
    (r'" is not a whole number', '" не целое число'),
    (r'" is not a number', '" не число'),
    (r'" is not in ([A-Z]{3}) \(', r'" не в валюте \1 ('),
    (r'" is too large a number', '" слишком большое число'),
    (r"its lines add up to ([-0-9.]+), which is too large a sum", r"строки складываются в \1, это слишком большая сумма"),
    (r'" is not a date', '" не дата'),
    (r'" is not a time', '" не время'),
    (r'" is neither yes nor no', '" не «да» и не «нет»'),
    (r'" is not in the map of ([^ ]+)', r'" нет среди значений в \1'),
    (r'" was never cleaned', '" не обработано'),
    (r": the result does not fit", ": результат не помещается"),
    (r"\m([a-z_]+) is missing", r"не заполнено \1"),
    # What is cleaned.
    (r'\mtax number "', 'налоговый номер "'),
    (r'\mphone "', 'телефон "'),
    (r'\memail "', 'адрес почты "'),
    (r'\mKPP "', 'КПП "'),
    (r'\mOGRN "', 'ОГРН "'),
    (r'\m(legal name key|legal name) "', 'наименование "'),
    (r'\mperson name "', 'имя "'),
    # Why it cannot be.
    (r"is (\d+) characters long", r"длиной \1 знаков"),
    (r"holds no number", "не содержит номера"),
    (r"lacks the code of its town", "без кода города"),
    (r"is too short for a phone number", "слишком короткий для телефона"),
    (r"is no phone number in use \((\d+) digits, country ([A-Z]*)\)",
     r"не похож на действующий номер (цифр: \1, страна \2)"),
    (r'holds no "@"', "не содержит «@»"),
    (r"mixes Latin and Cyrillic letters", "смешивает латинские и русские буквы"),
    (r"has a comma, semicolon or slash inside, where a dot may be meant",
     "содержит внутри запятую, точку с запятой или косую черту, возможно, вместо точки"),
    (r"is no e-mail address \([^()]*(\([^()]*\)[^()]*)*\)", "не похож на адрес почты"),
    (r"was rounded by a spreadsheet, its last digits are lost", "округлён таблицей, последние цифры потеряны"),
    (r"is no INN: an INN has digits only", "не ИНН: в ИНН только цифры"),
    (r"is a placeholder of zeros", "состоит из одних нулей"),
    (r"is a placeholder of digits in a row", "состоит из цифр подряд"),
    (r"is no address", "не адрес"),
    (r"has 9 digits and looks like a KPP", "из 9 цифр и похож на КПП"),
    (r"has (\d+) digits, and with a leading zero its check digit is wrong",
     r"из \1 цифр, и с нулём впереди контрольная цифра неверна"),
    (r"has (\d+) digits; an INN has 10 or 12", r"из \1 цифр, а в ИНН их 10 или 12"),
    (r"begins with 00, which is no tax region", "начинается с 00, такого региона нет"),
    (r"ends in (\d+), by its other digits that must be (\d+)", r"кончается на \1, а по остальным цифрам должно быть \2"),
    (r"ends in (\d+), by its other digits it is (\d+)", r"кончается на \1, а по остальным цифрам должно быть \2"),
    (r"is no tax number of ([A-Z]+) \([^()]*(\([^()]*\)[^()]*)*\)", r"не налоговый номер страны \1"),
    (r"is no BIN or IIN: it has 12 digits", "не БИН и не ИИН: в них 12 цифр"),
    (r"is no BIN or IIN: its month or its check digit is wrong", "не БИН и не ИИН: месяц или контрольная цифра неверны"),
    (r"is no KPP: that has 9 characters, like 770101001", "не КПП: в нём 9 знаков, например 770101001"),
    (r"is no OGRN: it has 13 digits, that of an entrepreneur 15", "не ОГРН: в нём 13 цифр, у предпринимателя 15"),
    (r"begins with (\d), as no OGRN of (\d+) digits does", r"начинается с \1, а ОГРН из \2 цифр так не начинается"),
    (r"is a legal form or signs without a name", "состоит из формы или знаков, без самого названия"),
    (r"holds a number or an address", "содержит цифры или адрес"),
    (r"holds no letters", "не содержит букв"),
    # What to do.
    _CARD,
    (r"ask for the number and write it with its code, as \+7 495 123-45-67",
     "уточните номер и запишите его с кодом, например +7 495 123-45-67"),
    (r"ask for the address and correct it", "уточните адрес и исправьте"),
    (r"fill in the true INN or leave it empty", "укажите верный ИНН или оставьте поле пустым"),
    (r"fill in the address or leave it empty", "укажите адрес или оставьте поле пустым"),
    (r"move it to the field of the KPP", "перенесите в поле КПП"),
    (r"export the column as text", "выгрузите столбец как текст"),
    (r"move the text to a comment field", "перенесите текст в комментарий"),
    (r"fill in the name as registered", "укажите название по реестру"),
    (r"fill in the person's name and move the rest to its own field", "укажите имя, остальное перенесите в своё поле"),
    (r"fill in the person's name", "укажите имя"),
    # Rows that were set apart.
    (r": rows of [a-z_]+ ([^:]*) differ in ([^()]*) \(lines? ([^()]*)\); give each of them a number of its own, or make them agree",
     r": строки \1 расходятся в столбцах: \2 (строки файла \3); дайте каждой свой номер или приведите их к одному"),
    (r"without its key ([^;]*); fill it in or delete the row", r"без ключа \1; заполните его или удалите строку"),
    (r"differs between (lines )?([^;]*); keep one of the rows", r"различается в строках \2; оставьте одну из них"),
    (r", lines? (\d)", r", строка \1"),
)  # fmt: skip
"""Pattern and what stands for it in Russian, applied from first to last. `\\m` begins a word."""


def phrased(sentences: str, language: Language) -> str:
    """Sentences of such a column as a part of a reason in that language: what `phrased_sql` does, in Python."""
    pairs = [REPEATED, *(RUSSIAN if language == "ru" else ())]
    return reduce(lambda text, pair: re.sub(pair[0].replace(r"\m", r"\b"), pair[1], text), pairs, sentences)


def phrased_sql(column: str, language: Language) -> str:
    """SQL of the same over a text column."""
    pairs = [REPEATED, *(RUSSIAN if language == "ru" else ())]
    return reduce(
        lambda text, pair: f"regexp_replace({text}, {_quoted(pair[0])}, {_quoted(pair[1])}, 'g')",
        pairs,
        column,
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
