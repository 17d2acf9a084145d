"""Writes the pages of the report into a folder: one a section, and one a deal that they name, with its evidence."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pipelines import laws
from pipelines.report import formats
from pipelines.report.blocks import Section
from pipelines.report.chain import Chain, Part
from pipelines.report.charts import Picture, picture
from pipelines.report.content import Answer, Cell, Content, Head, answer, content, is_there
from pipelines.report.evidence import chains
from pipelines.report.foreign import Told, foreign_chains
from pipelines.report.sections import SECTIONS
from pipelines.report.words import WORDS
from pipelines.sync import Road, module_of
from resources.connector import Authorship
from resources.language import Language
from resources.warehouse import Connection, Warehouse

MAX_DEALS: Final = 300  # deals that have a page of their own, the first that the pages name
MAX_DOCUMENTS: Final = 200  # documents without a deal that have one
EVIDENCE: Final = ("deals", "documents")
FOLDER: Final = Path(__file__).parent


@dataclass(slots=True)
class Written:
    """What was written: the page to begin with, rows by section, and the first picture of each section."""

    start: Path
    pages: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the report tells, in whatever language: all read from one moment."""

    sections: Sequence[Section]
    as_of: date
    known: datetime | None
    answers: Mapping[str, Answer]
    laws: Sequence[laws.Law]
    raw_tables: Mapping[str, str]
    told: Told


def ask(warehouse: Warehouse, as_of: date, raw_tables: Mapping[str, str], told: Told | None = None) -> Asked:
    """Ask all that the report tells as it stood at the end of `as_of`. `raw_tables`: of `evidence.chains`; `told`: of
    `foreign.foreign_chains`."""
    sections = [there for section in SECTIONS if (there := _there(section)).blocks]
    with warehouse.transaction() as conn:
        conn.execute("set transaction isolation level repeatable read")
        answers = {block.name: answer(conn, block, as_of) for section in sections for block in section.blocks}
        known = _known(conn)
    return Asked(sections, as_of, known, answers, laws.check(warehouse), raw_tables, told or Told())


def write(
    warehouse: Warehouse,
    folder: Path,
    language: Language,
    asked: Asked,
    *,
    other: str = "",
    with_png: bool = False,
) -> Written:
    """Write what was asked in a language. `other` is the way to the same report in the other one. Raises OSError."""
    sections = asked.sections
    found = {
        section.name: [content(block, asked.answers[block.name], language) for block in section.blocks]
        for section in sections
    }
    deals = _named(found, "deal_id")[:MAX_DEALS]
    documents = _named(found, "document_key")[:MAX_DOCUMENTS]
    with warehouse.transaction() as conn:
        evidence = {
            "deals": chains(conn, deals, asked.raw_tables, language),
            "documents": foreign_chains(conn, documents, asked.told, language),
        }
    page = _Page(sections, language, asked.as_of, asked.known, other)
    written = Written(folder / "index.html")
    files = {
        place: {chain.key: f"{place}/{_file(chain.key)}" for chain in evidence[place]} for place in EVIDENCE
    }
    links = {"deal_id": files["deals"], "document_key": files["documents"]}
    for place in EVIDENCE:
        (folder / place).mkdir(parents=True, exist_ok=True)
    for section in sections:
        blocks = []
        for one in found[section.name]:
            pictures = [
                picture(drawn, with_png=with_png and not place and section.name not in written.pictures)
                for place, drawn in enumerate(one.drawn)
            ]
            if pictures:
                written.pictures.setdefault(section.name, pictures[0])
            blocks.append(page.block(one, pictures, links))
        if section.name == "reconciliation":
            blocks.insert(0, page.laws(asked.laws))
        text = page.made(f"{section.name}.html", section.title(language), section.says(language), blocks)
        (folder / f"{section.name}.html").write_text(text, encoding="utf-8")
        written.rows[section.name] = sum(one.count for one in found[section.name])
    for place in EVIDENCE:
        for path in (folder / place).glob("*.html"):
            if f"{place}/{path.name}" not in files[place].values():
                path.unlink()  # of an earlier report
        for chain in evidence[place]:
            (folder / files[place][chain.key]).write_text(page.chain(chain), encoding="utf-8")
    written.pages = len(sections) + sum(map(len, evidence.values()))
    return written


def raw_tables(road: Road) -> dict[str, str]:
    """The raw table of each CRM's deals."""
    own = {f"raw.{s.name}_{entity}": s.name for s in road.mappings.systems for entity in s.entities}
    return {own[table]: table for table in _raw_of(road, "core.deal") if table in own}


def told_by_accounting(road: Road) -> Told:
    """Where accounting's documents lie, and where they say who entered them."""
    authorship = getattr(importlib.import_module(module_of(road.accounting)), "AUTHORSHIP", Authorship())
    return Told(_raw_of(road, "ledger.document"), authorship)


def _raw_of(road: Road, table: str) -> list[str]:
    reads = road.reads.get(table)
    return list(dict.fromkeys(source.raw_table for source in (reads.sources if reads else ())))


def _there(section: Section) -> Section:
    return replace(section, blocks=tuple(block for block in section.blocks if is_there(block)))


def _known(conn: Connection) -> datetime | None:
    row = conn.execute("select up_to from marts.known").fetchone()
    return row[0] if row else None


def _named(found: Mapping[str, Sequence[Content]], of: Literal["deal_id", "document_key"]) -> list[str]:
    """The deals, or the documents without one, that shown rows name, those of the reconciliation first."""
    sections = sorted(found, key=lambda name: name != "reconciliation")
    named = (
        getattr(cell, of)
        for name in sections
        for one in found[name]
        for row in one.rows
        for cell in row
        if getattr(cell, of)
    )
    return list(dict.fromkeys(named))


def _file(deal: str) -> str:
    """A name that says nothing to a file system, whatever the deal's id holds."""
    return f"{hashlib.sha256(deal.encode()).hexdigest()[:16]}.html"


class _Page:
    """What all pages share."""

    def __init__(
        self, sections: Sequence[Section], language: Language, as_of: date, known: datetime | None, other: str
    ) -> None:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        # Names come from CRMs and may hold anything: nothing here is marked safe but our own style sheet.
        environment = Environment(
            loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=False
        )
        self.template = environment.get_template("page.html")
        self.words = WORDS[language]
        self.language = language
        self.is_past = as_of < datetime.now(UTC).date()
        self.day = self.words["as_of"].format(day=formats.day(as_of, language))
        self.other = other
        self.pages = [{"file": f"{s.name}.html", "title": s.title(language)} for s in sections]
        made = self.words["made"].format(moment=formats.moment(datetime.now(UTC), language))
        if known:
            made += "; " + self.words["known"].format(moment=formats.moment(known, language))
        self.made_line = made

    def made(
        self, file: str, title: str, says: str, blocks: Sequence[Mapping[str, Any]], root: str = ""
    ) -> str:
        from markupsafe import Markup

        style = (FOLDER / "style.css").read_text(encoding="utf-8")
        other = f"{self.other}/{file}" if self.other and not root else ""
        return self.template.render(
            title=title, says=says, day=self.day, blocks=blocks, current=file, root=root, pages=self.pages,
            language=self.language, words=self.words, made=f"{self.words['page']}. {self.made_line}.",
            style=Markup(style), other=other,
        )  # fmt: skip

    def block(
        self, one: Content, pictures: Sequence[Picture], links: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Any]:
        notes = list(one.notes)
        if one.block.is_now and self.is_past:
            notes.insert(0, self.words["stands"])
        shown = _empty_block(one.block.name, one.block.title(self.language)) | {
            "note": " ".join(f"{note.rstrip('.')}." for note in notes),
            "pictures": pictures,
        }
        if not one.rows:
            return shown | {"nothing": self.words["none"]}
        if one.block.is_tiles:
            told = [row for row in one.raw if any(row[head.name] for head in one.heads)]
            return shown | {
                "tiles": [self._tiles(one, row) for row in told],
                "nothing": "" if told else self.words["none"],
            }
        rows = [[_linked(cell, links) for cell in row] for row in one.rows]
        more = ""
        if one.count > len(rows):
            mart = one.block.mart.removesuffix("_as_of")
            command = f"sverka export {mart} --format csv --output {mart}.csv"
            more = self.words["more"].format(
                shown=formats.figure(len(rows), "count", self.language),
                count=formats.figure(one.count, "count", self.language),
                command=command,
            )
        return shown | {"heads": one.heads, "rows": rows, "totals": one.totals, "more": more}

    def _tiles(self, one: Content, row: Mapping[str, Any]) -> list[dict[str, str]]:
        currency = row.get("currency") or "?"
        return [
            {
                "name": head.name, "currency": currency, "title": f"{head.title}, {currency}",
                "text": formats.figure(row[head.name], head.figure.unit, self.language, currency),
            }
            for head in one.heads
            if head.figure
        ]  # fmt: skip

    def laws(self, found: Sequence[laws.Law]) -> dict[str, Any]:
        """Whether both sides add up, each law in its sentence."""
        ru = self.language == "ru"
        lines = [
            {
                "text": f"{'✓' if law.holds else '✗'} {law.sentence_ru if ru else law.sentence}",
                "bad": "" if law.holds else self.words["broken"],
            }
            for law in found
        ]
        return _empty_block("laws", self.words["laws"]) | {"lines": lines}

    def chain(self, chain: Chain) -> str:
        blocks = [self._part(part) for part in chain.parts]
        return self.made(
            _file(chain.key),
            chain.title,
            chain.says,
            blocks,
            root="../",
        )

    def _part(self, part: Part) -> dict[str, Any]:
        shown = _empty_block(part.name, part.title)
        if not part.rows:
            return shown | {"nothing": part.nothing}
        heads = [Head(f"{part.name}_{place}", title, "", None) for place, title in enumerate(part.heads)]
        return shown | {"heads": heads, "rows": [[Cell(text) for text in row] for row in part.rows]}


def _linked(cell: Cell, links: Mapping[str, Mapping[str, str]]) -> Cell:
    """The cell with the way to its evidence, where there is a page of it."""
    link = links["deal_id"].get(cell.deal_id) or links["document_key"].get(cell.document_key, "")
    return replace(cell, link=link, text=cell.text or cell.document_key) if link else cell


def _empty_block(name: str, title: str) -> dict[str, Any]:
    return {
        "name": name, "title": title, "note": "", "tiles": [], "pictures": [], "lines": [], "rows": [], "heads": [],
        "totals": [], "nothing": "", "more": "",
    }  # fmt: skip
