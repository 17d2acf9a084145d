"""Reasons of operations in Russian: why one is held, and what is ours of why it was refused.

A reason is kept in English, as it was given. What accounting itself said stays in its own words.
"""

from __future__ import annotations

import re
from functools import reduce
from typing import Final

KINDS: Final = {
    "counterparty": "контрагент", "product": "номенклатура", "contract": "договор", "order": "заказ", "invoice": "счёт",
    "realization": "реализация", "vat_invoice": "счёт-фактура", "correction": "корректировка", "return": "возврат",
}  # fmt: skip
_KIND: Final = rf"({'|'.join(KINDS)})"

_VALUE: Final = r"((?:(?!: meant ).)*?)"  # no farther than the next field

RUSSIAN: Final[tuple[tuple[str, str], ...]] = (
    # Before anything is sent.
    (r"the period up to (\d{4})-(\d\d)-(\d\d) is closed in accounting; open it, or date the deal later",
     r"период по \3.\2.\1 в учёте закрыт; откройте его или поставьте сделке более позднюю дату"),
    ((r"the period up to (\d{4})-(\d\d)-(\d\d) is closed in accounting, and the document is dated there; open it: another date"
     r" of the deal does not help"),
     r"период по \3.\2.\1 в учёте закрыт, и документ датирован в нём; откройте период: другая дата сделки не поможет"),
    (r"its draft is being written and the deal has changed meanwhile; the draft is updated first",
     "черновик ещё записывается, а сделка за это время изменилась; сначала будет изменён черновик"),
    (r"names account '([^']*)', which accounting does not have; correct it, or create it there",
     r"указывает счёт учёта «\1», которого в учёте нет; исправьте или создайте его там"),
    (r"names warehouse '([^']*)', which accounting does not have; correct it, or create it there",
     r"указывает склад «\1», которого в учёте нет; исправьте или создайте его там"),
    (r"(\S+) has no (.+?), which (\S+) writes; give the field back in accounting, or correct the mapping file",
     r"в \1 нет поля \2, которое записывается по файлу \3; верните поле в учёте или исправьте файл соответствия"),
    (r"(\S+) has no (.+?), which (\S+) reads; give the field back in accounting, or correct the mapping file",
     r"в \1 нет поля \2, которое читается по файлу \3; верните поле в учёте или исправьте файл соответствия"),
    *((rf"{kind} '([^']*)' is marked for deletion in accounting, or deleted; restore it there, or enter another in its place there",
       rf"{word} «\1» в учёте помечен на удаление или удалён: восстановите там эту запись или заведите вместо неё другую")
      for kind, word in (("counterparty", "контрагент"), ("contract", "договор"))),
    (r"product '([^']*)' is marked for deletion in accounting, or deleted; restore it there, or enter another in its place there",
     r"номенклатура «\1» в учёте помечена на удаление или удалена: восстановите там эту запись или заведите вместо неё другую"),
    *((rf"accounting has this {_KIND} by now, entered by hand: '([^']*)', tax number (\S+){branch}; the next sync takes that one",
       rf"эту запись (\1) уже завели в учёте вручную: «\2», ИНН \3{said}; следующая синхронизация возьмёт её")
      for branch, said in ((r" (\S+)", r", КПП \4"), ("", ""))),
    # What was read back.
    (rf"(\S+) answered that it saved this {_KIND}, but does not hold it", r"\1 сообщает о записи (\2), но записи там нет"),
    (r"(\S+) answered, but the document is not posted", r"\1 сообщает о проведении, но документ не проведён"),
    (r"(\S+) answered, but the document is still posted", r"\1 сообщает об отмене проведения, но документ по-прежнему проведён"),
    (rf"somebody changed this {_KIND} in (\S+) before our change came, and ours was not made: ",
     r"в \2 запись (\1) изменили раньше, чем пришло наше изменение, и оно не сделано: "),
    (r"\. Make one agree with the other, there or in the CRM", ". Приведите одно к другому, там или в CRM"),
    (r"\. The CRM rounds it, or a rule there rewrites it: let the field keep what is written ",
     ". CRM округляет значение, или его переписывает правило CRM: пусть поле хранит записанное "),
    (r"\(of money two digits after the point\), or take it out of `feedback` in (\S+); each sync looks at it again",
     r"(у денег два знака после запятой), или уберите его из `feedback` в \1; каждая синхронизация смотрит на него снова"),
    (r"(\S+) holds something else than was sent: ", r"\1 хранит не то, что было отправлено: "),
    (r": meant (\d+) rows, found (\d+)", r": отправлено строк \1, в учёте \2"),
    (rf": meant {_VALUE}, found ", r": отправлено \1, в учёте "),
    (rf": meant {_VALUE}, the target keeps no such field", r": отправлено \1, такого поля в учёте нет"),
    (r" row (\d+)(?= |:)", r" строка \1"),
    (r"; and (\d+) more", r"; и ещё различий: \1"),
    # What was refused.
    (r"accounting refused it: ", "учёт отказал: "),
    (rf"this {_KIND} was changed in accounting since it was read; the next sync looks at it again",
     r"запись (\1) изменена в учёте после чтения; следующая синхронизация рассмотрит её снова"),
    (rf"the {_KIND} that it rests on was changed in accounting since it was read; the next sync looks at it again",
     r"документ, на котором это основано (\1), изменён в учёте после чтения; следующая синхронизация рассмотрит его снова"),
    (rf"the {_KIND} that it rests on is not in accounting any more", r"документа, на котором это основано (\1), в учёте больше нет"),
    (rf"the {_KIND} that it rests on, or a correction of it, is not as we left it in accounting \(([^()]*)\); put that right there first",
     r"документ, на котором это основано (\1), или его корректировка в учёте не таковы, как записаны (\2); сначала исправьте это там"),
    (rf"this {_KIND}, or a correction of it, is not as we left it in accounting \(([^()]*)\); put that right there first",
     r"этот документ (\1) или его корректировка в учёте не таковы, как записаны (\2); сначала исправьте это там"),
    *((rf"(?<=записаны \()([^()]*?)\b{how}\b", rf"\1{said}")
      for how, said in (("not posted", "не проведено"), ("deleted", "удалено"), ("changed", "изменено"),
                        ("corrected or taken back by hand", "исправлено или возвращено вручную"))),
    (rf"the {_KIND} that it rests on has other lines in accounting than we wrote \((.*?)\); put that right there first",
     r"у документа, на котором это основано (\1), в учёте другие строки, чем записаны (\2); сначала исправьте это там"),
    (rf"it did not show what follows the {_KIND} that it rests on: ",
     r"учёт не показал, что следует за документом (\1), на котором это основано: "),
    (rf"it did not show what follows this {_KIND}: ", r"учёт не показал, что следует за этим документом (\1): "),
    (rf"a {_KIND} that was a draft was posted in accounting since; unpost it there first",
     r"черновик (\1) за это время провели в учёте; сначала отмените его проведение там"),
    (rf"no way to \w+ a {_KIND}", r"это действие невозможно (\1)"),
    (rf"{_KIND} (\S+) is not there any more; nothing was changed", r"записи (\1 \2) больше нет; ничего не изменено"),
    (rf"{_KIND} (\S+) is not there; it was deleted in SAP", r"записи (\1 \2) нет: она удалена в SAP"),
    (r"give user (\S+) the right to write it", r"дайте пользователю \1 право на запись"),
    (r"an accountant opens the period, or the document gets a later date",
     "бухгалтер откроет период, или у документа будет более поздняя дата"),
    *((rf"(?<=\(){kind}(?=[ )])|\b{kind}(?= [0-9a-f]{{8}}-)", word) for kind, word in KINDS.items()),
)  # fmt: skip
"""Pattern and what stands for it, applied from first to last."""

_PAIRS: Final = [(re.compile(pattern), said) for pattern, said in RUSSIAN]


def in_russian(reason: str) -> str:
    """One reason or several, joined by semicolons."""
    return reduce(lambda text, pair: pair[0].sub(pair[1], text), _PAIRS, reason)
