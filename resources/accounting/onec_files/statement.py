"""1CClientBankExchange: the text file in which banks hand over statements.

Lines of `Key=Value`; `СекцияРасчСчет` ... `КонецРасчСчет` give balances of an account, `СекцияДокумент=` ...
`КонецДокумента` a payment, `КонецФайла` ends it. Sums have a point, days are DD.MM.YYYY. The file names its encoding
in itself (Windows or DOS), and not always truly: what makes its own words readable decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from resources.accounting.onec_files.settlement import Direction, Settles, of_statement

FIRST_LINE: Final = "1CClientBankExchange"
MAX_BYTES: Final = 64 << 20
MAX_DOCUMENTS: Final = 500_000
ENCODINGS: Final = ("utf-8-sig", "utf-16", "cp1251", "cp866")

# Encodings in which single letters may be broken: they are shown as UNREAD, and a file of them is taken all the same.
BROKEN: Final = ("utf-8-sig", "cp1251")
UNREAD: Final = "\ufffd"

_PADDING: Final = " \t\r\n\x00\x1a"  # DOS ends a text with 0x1A, and some programs with zeros
_LINE_END = re.compile(r"\r\n|\r|\n")  # str.splitlines knows more, and they stand in purposes
_KEY = re.compile(r"[^\W\d]\w*")
_GIVEN = re.compile(rf"({_KEY.pattern})\s*=")
_DOCUMENT_ENDS: Final = "КонецДокумента"
_PURPOSE: Final = "НазначениеПлатежа"
_FAMILIES: Final = (_PURPOSE, "Плательщик", "Получатель", "Показатель", "Квитанция", "УсловиеОплаты")
_KNOWN: Final = frozenset({
    "Номер", "Дата", "Сумма", "ДатаСписано", "ДатаПоступило", "ВидПлатежа", "ВидОплаты", "Код", "КодНазПлатежа",
    "СтатусСоставителя", "ОКАТО", "ОКТМО", "Очередность", "СрокАкцепта", "ВидАккредитива", "СрокПлатежа",
    "ПлатежПоПредст", "ДополнУсловия", "НомерСчетаПоставщика", "ДатаОтсылкиДок", "УИН", "УИП",
})  # fmt: skip
_EXACT: Final = re.compile(
    r"Номер|Дата\w*|Сумма|\w+Счет|\w+ИНН|\w+КПП|ПоказательКБК"
)  # what decides, and is no text
_SUM = re.compile(r"-?\d{1,15}(?:[.,]\d{1,2})?")
_DAY = re.compile(r"(\d\d)\.(\d\d)\.(\d{4})")


class StatementError(ValueError):
    """A file that is no statement which can be trusted. `cut`: its end is missing, so waiting may be enough."""

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


@dataclass(slots=True)
class Section:
    """Keys of one section, and the line where it begins. `title`: the kind of document."""

    line: int
    title: str = ""
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Payment:
    """One movement on one of our accounts. `on`: the day on which the bank carried it out; `amount` is positive."""

    account: str
    direction: Direction
    on: date
    number: str
    amount: Decimal
    payer_account: str
    line: int
    values: Mapping[str, str]
    settles: Settles
    own_number: str  # ИНН on our side; empty where the file has none

    @property
    def identity(self) -> str:
        """What makes two mentions one payment, in overlapping statements too."""
        return (
            f"{self.account}:{self.on}:{self.number}:{self.amount:.2f}:{self.payer_account}:{self.direction}"
        )


@dataclass(slots=True)
class Statement:
    """A file as read, not yet checked."""

    head: Section
    accounts: list[Section] = field(default_factory=list)
    documents: list[Section] = field(default_factory=list)


def parse(content: bytes) -> Statement:
    """The sections of a file. Raises StatementError, in words."""
    if len(content) > MAX_BYTES:
        raise StatementError(f"it is larger than {MAX_BYTES >> 20} MB; ask the bank for shorter periods")
    lines = _LINE_END.split(_text(content))
    statement = Statement(Section(1))
    current, ending, last, ended = statement.head, "", "", False
    held: list[str] = []  # lines of the document under way
    for number, line in enumerate(lines[1:], start=2):
        bare = line.strip()
        if ended and bare:
            raise StatementError(f"line {number} stands after КонецФайла; it seems to be two files in one")
        key, equals, value = bare.partition("=")
        if equals and UNREAD in key and _KEY.fullmatch(key.strip().replace(UNREAD, "")):
            raise StatementError(
                f"line {number} begins with letters that cannot be read, {key.strip()!r}; export it again"
            )
        if bare == "КонецФайла" and not ending:
            ended = True
        elif ending and bare == ending:
            if ending == _DOCUMENT_ENDS:
                current.values.update(_fields(held))
                for name, text in current.values.items():
                    if UNREAD in text and _EXACT.fullmatch(name):
                        raise StatementError(
                            f"{name} of the section at line {current.line} is {text!r}: letters of it cannot be read"
                        )
            current, ending, last, held = statement.head, "", "", []
        elif bare == "СекцияРасчСчет" or key == "СекцияДокумент":
            if ending:
                raise StatementError(f"the section of line {current.line} has no {ending}", cut=False)
            current = Section(number, value.strip())
            is_account = bare == "СекцияРасчСчет"
            (statement.accounts if is_account else statement.documents).append(current)
            ending, last = ("КонецРасчСчет" if is_account else _DOCUMENT_ENDS), ""
            if len(statement.documents) > MAX_DOCUMENTS:
                raise StatementError(f"it holds more than {MAX_DOCUMENTS} payments; ask for shorter periods")
        elif ending == _DOCUMENT_ENDS:
            held.append(bare)
        elif equals and _KEY.fullmatch(key.strip()):
            last = key.strip()
            if last == "РасчСчет" and current is statement.head and last in current.values:
                current.values[last] += f" {value.strip()}"  # a statement of several accounts names each
            else:
                current.values.setdefault(last, value.strip())
        elif bare and last and ending:
            current.values[last] += f"\n{bare}"
    if not ended:
        raise StatementError("its end (КонецФайла) is missing, so it was not written to the end", cut=True)
    return statement


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """The values of a document. A purpose may have several lines, and a line of it may look like a key with a value.

    Such a line is the purpose's where the format has no such key, or where the key is given elsewhere: the one before
    the purpose holds, and where all stand behind its beginning the last one. A bank's own keys hold everywhere else.
    """
    named = [(n, match[1]) for n, line in enumerate(lines) if (match := _GIVEN.match(line))]
    begins = min((n for n, key in named if key.startswith(_PURPOSE)), default=len(lines))
    holds: dict[str, int] = {}
    for n, key in named:
        if n <= begins:
            holds.setdefault(key, n)
        elif holds.get(key, n) > begins:
            holds[key] = n
    values: dict[str, str] = {}
    last = ""
    for n, line in enumerate(lines):
        match = _GIVEN.match(line)
        if match and n < begins and holds[match[1]] != n:
            last = match[1]
        elif match and holds[match[1]] == n and (_is_known(match[1]) or not last.startswith(_PURPOSE)):
            last = match[1]
            values[last] = line[match.end() :].strip()
        elif line and last:
            if n > begins and not last.startswith(_PURPOSE):
                last = [key for key in values if key.startswith(_PURPOSE)][-1]
            values[last] += f"\n{line}"
    return values


def _is_known(key: str) -> bool:
    return key in _KNOWN or key.startswith(_FAMILIES)


def payments(statement: Statement, own_number: str = "") -> list[Payment]:
    """What was carried out, in the order of the file; orders that the bank has not executed are left out.

    `own_number`: our ИНН, for a file that has none beside our accounts.

    Raises StatementError where a payment lacks what it must have, or where the balances do not add up.
    """
    ours = set(statement.head.values.get("РасчСчет", "").split())
    ours |= {section.values.get("РасчСчет", "") for section in statement.accounts}
    ours.discard("")
    if not ours:
        raise StatementError("it names no account of ours (РасчСчет)")
    number = _own_number(statement, ours) or own_number
    found = [payment for section in statement.documents for payment in _movements(section, ours, number)]
    for section in statement.accounts:
        _check(section, found)
    return found


def _text(content: bytes) -> str:
    if not content.strip():
        raise StatementError("it is empty", cut=True)
    for encoding, errors in (
        *((name, "strict") for name in ENCODINGS),
        *((name, "replace") for name in BROKEN),
    ):
        if encoding == "utf-16" and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
            continue
        try:
            text = content.decode(encoding, errors).strip(_PADDING)
        except UnicodeDecodeError:
            continue
        first = _LINE_END.split(text, maxsplit=1)[0].strip()
        if first != FIRST_LINE:
            raise StatementError(
                f"its first line is {first[:40]!r}, not {FIRST_LINE}; it is another kind of file"
            )
        if "ВерсияФормата" in text or "Секция" in text:
            return text
    if not content.rstrip().lower().endswith("конецфайла".encode()) and len(content) < 200:
        raise StatementError("it breaks off at its beginning", cut=True)
    raise StatementError(
        "its words can be read neither as UTF-8 nor as Windows-1251 nor as DOS 866; export it again"
    )


def _own_number(statement: Statement, ours: set[str]) -> str:
    """The ИНН that stands beside our accounts, where all documents of the file agree on it."""
    found = {
        _number(section.values, side)
        for section in statement.documents
        for side in ("Плательщик", "Получатель")
        if {section.values.get(f"{side}Счет"), section.values.get(f"{side}РасчСчет")} & ours
    } - {""}
    return found.pop() if len(found) == 1 else ""


def _number(values: Mapping[str, str], side: str) -> str:
    number = values.get(f"{side}ИНН", "")
    return number if number.strip("0") else ""


def purpose(values: Mapping[str, str]) -> str:
    """НазначениеПлатежа, or its numbered lines as one."""
    lines = (values.get(f"НазначениеПлатежа{number}", "") for number in range(1, 7))
    return values.get("НазначениеПлатежа") or " ".join(line for line in lines if line)


def _movements(section: Section, ours: set[str], own_number: str) -> list[Payment]:
    values = section.values
    payer = values.get("ПлательщикСчет") or values.get("ПлательщикРасчСчет", "")
    payee = values.get("ПолучательСчет") or values.get("ПолучательРасчСчет", "")
    spent, received = values.get("ДатаСписано", ""), values.get("ДатаПоступило", "")
    sides: list[tuple[str, Direction, str]] = []
    if payer in ours and spent:
        sides.append((payer, "outgoing", spent))
    if payee in ours and received:
        sides.append((payee, "receipt", received))
    if not sides and payer not in ours and payee not in ours:
        raise StatementError(
            f"the payment of line {section.line} is on neither side an account of this statement"
        )
    if sides and not values.get("Номер"):
        raise StatementError(f"the payment of line {section.line} has no Номер")
    return [
        Payment(
            account, side, _day(day, section.line), values["Номер"], _sum(values, "Сумма", section.line, least=0),
            payer, section.line, values, of_statement(side, values, purpose(values), ours, number), number,
        )
        for account, side, day in sides
        for number in (_number(values, "Получатель" if side == "receipt" else "Плательщик") or own_number,)
    ]  # fmt: skip


def _check(section: Section, found: Sequence[Payment]) -> None:
    """The balances of an account by themselves, and its turnovers against its payments."""
    values, line = section.values, section.line
    account = values.get("РасчСчет", "")
    names = ("НачальныйОстаток", "ВсегоПоступило", "ВсегоСписано", "КонечныйОстаток")
    told = {name: _sum(values, name, line) for name in names if values.get(name)}
    if len(told) == len(names):
        closing = told["НачальныйОстаток"] + told["ВсегоПоступило"] - told["ВсегоСписано"]
        if closing != told["КонечныйОстаток"]:
            raise StatementError(
                f"the balances of account {account} (line {line}) do not add up: {told['НачальныйОстаток']} +"
                f" {told['ВсегоПоступило']} - {told['ВсегоСписано']} is {closing}, and it says {told['КонечныйОстаток']}"
            )
    if not values.get("ДатаНачала") or not values.get("ДатаКонца"):
        return
    first, last = _day(values["ДатаНачала"], line), _day(values["ДатаКонца"], line)
    for name, direction in (("ВсегоПоступило", "receipt"), ("ВсегоСписано", "outgoing")):
        total = sum(
            (
                p.amount
                for p in found
                if (p.account, p.direction) == (account, direction) and first <= p.on <= last
            ),
            Decimal(0),
        )
        if name in told and told[name] != total:
            raise StatementError(
                f"account {account} from {first} to {last}: {name} is {told[name]}, and the payments of the file come"
                f" to {total}; some are missing or were changed"
            )


def _sum(values: Mapping[str, str], name: str, line: int, least: int | None = None) -> Decimal:
    text = values.get(name, "")
    if not _SUM.fullmatch(text):
        raise StatementError(f"{name} of the section at line {line} is {text!r}, not a sum like 1200.50")
    amount = Decimal(text.replace(",", "."))
    if least is not None and amount < least:
        raise StatementError(f"{name} of the section at line {line} is negative")
    return amount


def _day(text: str, line: int) -> date:
    match = _DAY.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        return date(int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        raise StatementError(
            f"the section at line {line} has the day {text!r}, not one like 05.03.2026"
        ) from None
