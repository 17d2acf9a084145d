"""The two parties of a paper: who a person means, and how each is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from resources.language import Language
from resources.warehouse import Connection

MAX_CANDIDATES: Final = 20


@dataclass(frozen=True, slots=True)
class Party:
    """A counterparty, or one of our organizations."""

    key: str
    name: str
    tax_number: str = ""
    kpp: str = ""

    def numbers(self, language: Language) -> str:
        """`ИНН 7701000001, КПП 770101001`; empty where accounting knows none."""
        inn, kpp = ("ИНН", "КПП") if language == "ru" else ("INN", "KPP")
        return ", ".join(f"{word} {said}" for word, said in ((inn, self.tax_number), (kpp, self.kpp)) if said)


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Nobody is called so, or several are."""

    sentence: str
    candidates: tuple[Party, ...] = ()


def find_counterparty(conn: Connection, said: str, language: Language = "en") -> Party | Ambiguous:
    """The counterparty of this key, INN (`7701000001`, or with its KPP `7701000001/770101001`), or name."""
    return _found(conn, _COUNTERPARTY, said, _SAY[language]["counterparty"], language)


def find_organization(conn: Connection, said: str, language: Language = "en") -> Party | Ambiguous:
    """The one of our organizations that has this key, INN or name."""
    return _found(conn, _ORGANIZATION, said, _SAY[language]["organization"], language)


def _found(conn: Connection, query: str, said: str, what: str, language: Language) -> Party | Ambiguous:
    """The exact ones first (key, then numbers, then whole names); parts of names only where none is."""
    words = " ".join(said.split())
    number, _, kpp = words.partition("/")
    pattern = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    rows: list[Any] = conn.execute(
        query.encode(), {"said": words, "number": number.strip(), "kpp": kpp.strip(), "pattern": pattern}
    ).fetchall()
    best = [row for row in rows if row[0] == rows[0][0]]
    living = [row for row in best if not row[-1]] or best
    parties = tuple(Party(key, name or key, inn or "", kpp or "") for _, key, name, inn, kpp, _ in living)
    if len(parties) == 1:
        return parties[0]
    say = _SAY[language]
    if not parties:
        return Ambiguous(say["nobody"].format(what=what, said=words))
    shown = parties[:MAX_CANDIDATES]
    lines = [f"  {p.key}  {p.name}  {p.numbers(language)}".rstrip() for p in shown]
    if len(parties) > len(shown):
        lines.append(f"  … {len(parties) - len(shown)}")
    return Ambiguous(say["several"].format(what=what, said=words) + "\n" + "\n".join(lines), parties)


_COUNTERPARTY: Final = """
    with known as (
        select counterparty_key as key, coalesce(nullif(full_name, ''), name) as shown, name, full_name, name_key, code, tax_number, kpp,
               is_deleted
        from core.accounting_counterparty where not is_folder
    ), ranked as (
        select case
            when key = %(said)s then 1
            when tax_number = %(number)s and (%(kpp)s = '' or kpp = %(kpp)s) then 2
            when lower(%(said)s) in (lower(name), lower(full_name), name_key) then 3
            when %(kpp)s = '' and code = %(said)s then 4
            when name ilike %(pattern)s or full_name ilike %(pattern)s then 5
        end as rank, known.*
        from known
    )
    select rank, key, shown, tax_number, kpp, is_deleted from ranked where rank is not null order by rank, shown, key
"""
_ORGANIZATION: Final = """
    with ranked as (
        select case
            when organization_key = %(said)s then 1
            when tax_number = %(number)s then 2
            when lower(name) = lower(%(said)s) then 3
            when name ilike %(pattern)s then 5
        end as rank, organization_key as key, name as shown, tax_number, is_deleted
        from core.accounting_organization
        where %(kpp)s::text is not null
    )
    select rank, key, shown, tax_number, null, is_deleted from ranked where rank is not null order by rank, shown, key
"""

_SAY: Final = {
    "en": {
        "counterparty": "counterparty",
        "organization": "organization of ours",
        "nobody": "accounting knows no {what} {said!r}; name it by its INN, its name or its key, as accounting has it",
        "several": "there are several for {what} {said!r}; name one of them by its key:",
    },
    "ru": {
        "counterparty": "контрагент",
        "organization": "наша организация",
        "nobody": "в учёте не найдено: {what} {said!r}; укажите ИНН, наименование или ключ, как в учёте",
        "several": "найдено несколько: {what} {said!r}; укажите ключ одного из них:",
    },
}
