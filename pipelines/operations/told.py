"""What people are told of their decisions (`hold release`, `questions answer`, `undo`), in Russian.

The sentences are made in English where the decision is; here stands each of them whole, with its Russian. Names of
deals, people, files and commands stay as they are.
"""

from __future__ import annotations

import re
from typing import Final

from pipelines.operations.phrases import KINDS
from resources.language import Language

_KIND: Final = f"(?P<kind>{'|'.join(KINDS)})"
_FOLLOWS: Final = f"(?P<follows>{'|'.join(KINDS)})"
_AFTER: Final = (
    r"(?P<after>(?:, once `sverka plan --approve` lets it go)?)(?P<above>(?: \(sums above [0-9.]+\))?)"
)
_SEE: Final = "; see `sverka questions list`"
_SEE_RU: Final = "; см. `sverka questions list --language ru`"

RUSSIAN: Final[tuple[tuple[str, str], ...]] = (
    # hold release
    ((r"(?P<deal>\S+) is not held by the gate, and accounting refused nothing of it; see `sverka hold list`, and"
     r' docs/gate\.md, "A deal is not invoiced: look here"'),
     ("{deal}: проверки сделку не удерживают, и учёт ни в чём по ней не отказал; см. `sverka hold list --language ru` и"
     " docs/ru-queues.md")),
    (r"(?P<deal>\S+) is not held by (?P<check>\S+), but by accounting",
     "{deal}: проверка {check} сделку не удерживает, ждёт учёт"),
    (r"(?P<deal>\S+) is not held by (?P<check>\S+), but by (?P<known>.+)",
     "{deal}: проверка {check} сделку не удерживает, удерживают: {known}"),
    (rf"(?P<deal>\S+) is released from (?P<known>.+?); the next sync carries it{_AFTER}",
     "{deal}: выпущена, проверки {known} её больше не удерживают; перенесёт следующая синхронизация{after}{above}"),
    (rf"(?P<count>\d+) operations of (?P<deal>\S+) are tried again by the next sync{_AFTER}",
     "{deal}: операций {count}, следующая синхронизация попробует их снова{after}{above}"),
    # undo
    (rf"a {_KIND} cannot be taken back by a document of its own in (?P<system>\S+); take it back in accounting",
     "{system}: документ ({kind}) нельзя отменить отдельным документом; отмените его в учёте"),
    ((rf"a {_KIND} cannot be taken back by a document of its own in (?P<system>\S+): (?P<file>\S+) has no `write: return`;"
     r" take it back in accounting"),
     "{system}: документ ({kind}) нельзя отменить отдельным документом: в файле {file} нет `write: return`; отмените его в учёте"),
    (rf"the {_KIND} of (?P<deal>\S+) is taken back by a return; the next sync writes it",
     "{deal}: документ ({kind}) отменяется возвратом; его запишет следующая синхронизация"),
    (rf"accounting holds no {_KIND} of (?P<deal>\S+) that we wrote and that stands; see `sverka plan` and `sverka questions list`",
     ("{deal}: действующего документа ({kind}), который записали мы, в учёте нет; см. `sverka plan --language ru` и"
     " `sverka questions list --language ru`")),
    (rf"the {_KIND} of (?P<deal>\S+) is being written: undo it after the next sync",
     "{deal}: документ ({kind}) сейчас записывается; отмените его после следующей синхронизации"),
    ((rf"we unposted the {_KIND} of (?P<deal>\S+) to change it, and it is not posted again yet: there is nothing to take back\."
     r" `sverka operations show \S+` says what it waits for; undo it once it is posted"),
     ("{deal}: проведение документа ({kind}) отменили мы, чтобы его изменить, и снова он ещё не проведён: отменять нечего."
     " Чего он ждёт, говорит `sverka operations show {deal} --language ru`; отмените его, когда он будет проведён")),
    ((rf"in accounting the {_KIND} of (?P<deal>\S+), or a correction of it, is not as we left it \((?P<amiss>[^)]*)\): a return"
     r" would not take it back\. Put that right there first, or take it back there"),
     ("{deal}: в учёте документ ({kind}) или его корректировка не таковы, какими мы их оставили ({amiss}): возврат их не отменит."
     " Сначала исправьте это там или отмените документ там")),
    # questions answer
    (r"no question is named; `sverka questions list` names those that are open",
     "вопрос не назван; открытые вопросы показывает `sverka questions list --language ru`"),
    (rf"no open question is called (?P<question>\S+){_SEE}", "открытого вопроса {question} нет" + _SEE_RU),
    (rf"(?P<count>\d+) open questions are called (?P<question>\S+){_SEE}",
     "вопросов, которые так начинаются ({question}): {count}" + _SEE_RU),
    (r"(?P<action>.+) is no answer; there are (?P<known>.+)", "{action}: такого ответа нет; ответы: {known}"),
    (r"in accounting it is not as we left it \((?P<amiss>[^)]*)\): put that right there first, or answer leave",
     "в учёте документ не таков, каким мы его оставили ({amiss}): сначала исправьте это там или ответьте leave"),
    (rf"(?P<deal>\S+), {_KIND}: (?P<action>\w+); the next sync sees to it, or asks anew if the deal or the document changed",
     "{deal}, {kind}: {action}; следующая синхронизация это сделает или спросит заново, если сделка или документ изменились"),
    ((rf"(?P<question>\S+) \((?P<deal>\S+), {_KIND}\) was answered before: (?P<action>\w+), by (?P<by>.+?); see"
     r" `sverka operations show \S+`"),
     "{question} ({deal}, {kind}): ответ уже дан: {action} ({by}); см. `sverka operations show {deal} --language ru`"),
    ((rf"(?P<question>\S+) \((?P<deal>\S+), {_KIND}\) is withdrawn: the deal or the document changed, or was undone; see"
     r" `sverka questions list` for what is asked now"),
     ("{question} ({deal}, {kind}): вопрос снят: сделка или документ изменились либо отменены; что спрашивается теперь,"
     " говорит `sverka questions list --language ru`")),
    (r"it was unposted in accounting: answer post or leave", "проведение отменили в учёте: ответьте post или leave"),
    (r"post is for a document that was unposted in accounting; answer update, correction, reversal or leave",
     "post — ответ о документе, проведение которого отменили в учёте; ответьте update, correction, reversal или leave"),
    (r"what was undone in accounting is put right there; answer leave",
     "что отменено в учёте, там и исправляют; ответьте leave"),
    (r"its period is closed in accounting: nothing is posted there; answer leave",
     "период документа в учёте закрыт: проводить там нельзя; ответьте leave"),
    (r"its period is closed in accounting: nothing is changed there; answer correction, reversal or leave",
     "период документа в учёте закрыт: менять там нельзя; ответьте correction, reversal или leave"),
    (r"the deal no longer calls for it: there is nothing to update it to; answer reversal or leave",
     "сделка больше не требует документа: менять его не на что; ответьте reversal или leave"),
    (r"the deal no longer calls for it: there is nothing to correct it to; answer reversal or leave",
     "сделка больше не требует документа: корректировать его не на что; ответьте reversal или leave"),
    (r"its (?P<others>[a-z ]+) changed, and a correction names no other one: answer reversal or leave",
     "изменилось: {others}; корректировка другого не указывает: ответьте reversal или leave"),
    (r"it is not posted: there is nothing to take back; answer leave, and mark it for deletion in accounting",
     "документ не проведён: отменять нечего; ответьте leave и пометьте его в учёте на удаление"),
    (rf"a {_KIND} is not followed by a {_FOLLOWS}; answer update or leave",
     "за документом ({kind}) не следует другой ({follows}); ответьте update или leave"),
    (rf"(?P<file>\S+) does not say how a {_FOLLOWS} is written; add `\w+` under `write`",
     "файл {file} не говорит, как записывается {follows}; добавьте это в `write`"),
)  # fmt: skip
"""A whole line, and what is said in its place."""

_AMISS: Final = {
    "not posted": "не проведён", "deleted": "удалён", "changed": "изменён",
    "corrected or taken back by hand": "исправлен или возвращён вручную",
}  # fmt: skip
_OTHERS: Final = {"counterparty": "контрагент", "contract": "договор", "currency": "валюта", "and": "и"}
_PAIRS: Final = [(re.compile(pattern), said) for pattern, said in RUSSIAN]


def told_in(sentence: str, language: Language) -> str:
    """What a person is told, in a language: line by line; a line that has no Russian stays as it is."""
    return sentence if language == "en" else "\n".join(map(_russian, sentence.split("\n")))


def _russian(line: str) -> str:
    for pattern, said in _PAIRS:
        if match := pattern.fullmatch(line):
            return said.format(**{name: _word(name, value) for name, value in match.groupdict().items()})
    return line


def _word(name: str, value: str) -> str:
    match name:
        case "kind" | "follows":
            return KINDS[value]
        case "amiss":
            return ", ".join(_AMISS.get(how, how) for how in value.split(", "))
        case "others":
            return " ".join(_OTHERS.get(word, word) for word in value.split())
        case "after":
            return value and ", когда её утвердят (`sverka plan --approve`)"
        case "above":
            return value.replace("sums above", "суммы выше")
    return value
