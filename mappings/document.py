"""The mapping document: what accountants read and sign before the software writes into their books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import get_args

from mappings.field import Condition, FieldRule
from mappings.folder import Mappings, System
from mappings.schema import Dated, DocumentKind, ReadRule, StageRule
from mappings.tables import targets
from mappings.words import CARRIED, field_word, thing, word
from mappings.write import WriteRule
from resources.language import LANGUAGES, Language

NOTHING = "—"
DOCUMENTS = (*get_args(DocumentKind), "correction", "return")


def mapping_document(mappings: Mappings, language: Language = "en") -> str:
    """The set-up as Markdown in one language. The same files give the same text.

    Raises ValueError for a language it does not speak.
    """
    if language not in LANGUAGES:
        raise ValueError(f"no mapping document in {language!r}; there are {', '.join(LANGUAGES)}")
    return "\n".join(_Writer(mappings, language).lines()).rstrip() + "\n"


class _Writer:
    def __init__(self, mappings: Mappings, language: Language) -> None:
        self.mappings, self.language = mappings, language

    def w(self, name: str) -> str:
        return word(name, self.language)

    def lines(self) -> Iterator[str]:
        yield from (f"# {self.w('title')}", "", f"{self.w('intro')} `{self.mappings.fingerprint}`.", "")
        for system in self.mappings.sources():
            yield from self.head(system)
            yield from self.stages(system)
            yield from self.reads(system)
            yield from self.ignored(system)
            yield from self.products(system)
            yield from self.amounts(system)
            yield from self.clients(system)
            yield from self.prices(system)
            yield from self.writes(system.feedback, "fed_back")
        accounting = self.mappings.accounting()
        yield from self.head(accounting)
        yield from self.accounting_rules(accounting)
        yield from self.writes(accounting.write, "written")
        yield from self.reads(accounting)
        yield from self.ignored(accounting)
        yield from (f"## {self.w('approved')}", "", f"{self.w('chief')}: ______________________________", "")
        yield f"({self.w('signature')}; `{self.mappings.fingerprint}`)"

    def head(self, system: System) -> Iterator[str]:
        yield f"## {system.title}"
        yield ""
        facts = [
            self.w(f"system_{system.role}"),
            f"`{system.name}`",
            f"{self.w('file')} {system.source.name}",
        ]
        if system.owner:
            facts.append(f"{self.w('owner')}: {system.owner}")
        yield "; ".join(facts) + f" (`{system.fingerprint}`)."
        yield ""
        if system.file.notes:
            yield f"**{self.w('notes')}**"
            yield ""
            yield from (f"- {note}" for note in system.file.notes)
            yield ""

    # ---- rules

    def stages(self, system: System) -> Iterator[str]:
        if not system.file.stages:
            return
        yield from (f"### {self.w('stages')}", "", self.w("stages_intro"), "")
        heads = ("pipeline", "stage", "documents", "due", "period", "why")
        yield from self.table(
            [self.w(head) for head in heads], [self.stage(rule) for rule in system.file.stages]
        )

    def stage(self, rule: StageRule) -> list[str]:
        if rule.ignore:
            documents = self.w("left_out")
        else:
            documents = ", ".join(self.w(kind) for kind in rule.documents) or self.w("no_documents")
        stages = ", ".join(self.w("any") if s == "*" else f"`{s}`" for s in rule.stage)
        if rule.outcome:
            stages += f" ({self.w(rule.outcome)})"
        return [
            ", ".join(self.w("any") if p == "*" else f"`{p}`" for p in rule.pipeline),
            stages,
            documents,
            f"{rule.due_days} {self.w('days')}" if rule.due_days is not None else "",
            self.period(rule.from_, rule.to),
            rule.why or "",
        ]

    def ignored(self, system: System) -> Iterator[str]:
        rows = [
            [
                thing(read.table, self.language),
                rule.rule,
                " & ".join(map(self.condition, rule.when)),
                rule.why,
            ]
            for read in system.reads
            if not read.join
            for rule in read.rule.ignore
        ]
        rows += [
            [self.w("stage"), "", self.stage(rule)[1], rule.why or ""]
            for rule in system.file.stages
            if rule.ignore
        ]
        if rows:
            yield from (f"### {self.w('ignored')}", "")
            yield from self.table([self.w(head) for head in ("what", "name", "condition", "why")], rows)

    def condition(self, condition: Condition) -> str:
        paths = " / ".join(f"`{path}`" for path in condition.from_)
        if condition.empty is not None:
            return f"{paths} {self.w('is_empty' if condition.empty else 'filled')}"
        for name in ("equals", "not_equals", "starts_with", "not_starts_with", "contains"):
            if (values := getattr(condition, name)) is not None:
                return f"{paths} {self.w(name)} {', '.join(f'«{value}»' for value in values)}"
        raise AssertionError("a condition has a test")

    def products(self, system: System) -> Iterator[str]:
        products = system.file.products
        yield from (f"### {self.w('aliases')}", "")
        yield from (self.w("products_create" if products.create else "products_hold"), "")
        if products.aliases:
            rows = [[alias.name, alias.is_, self.dated(alias)] for alias in products.aliases]
            yield from self.table([self.w(head) for head in ("in_crm", "in_catalogue", "period")], rows)
        if system.file.tax_numbers.demanded_for:
            yield from (f"{self.w('demanded')}: {', '.join(system.file.tax_numbers.demanded_for)}.", "")

    def amounts(self, system: System) -> Iterator[str]:
        amounts = system.file.amounts
        yield from (f"### {self.w('amounts')}", "")
        if amounts.below_lines == "discount":
            yield f"{self.w('amounts_discount')}: {amounts.discount_up_to}."
        else:
            yield self.w("amounts_held")
        if amounts.rounding_up_to:
            yield f"{self.w('amounts_rounding')}: {amounts.rounding_up_to}."
        yield ""

    def clients(self, system: System) -> Iterator[str]:
        if "clients" not in system.file.model_fields_set:
            return
        degrees = system.file.clients.trust.model_dump(by_alias=True, exclude_none=True)
        yield from (f"### {self.w('clients')}", "")
        yield f"{self.w('trust')}: {'; '.join(f'{self.f(name)} {degree}' for name, degree in degrees.items())}."
        if complete := system.file.clients.complete:
            yield f"{self.w('complete')}: {', '.join(self.f(name) for name in complete)}."
        yield ""

    def prices(self, system: System) -> Iterator[str]:
        if not system.file.prices:
            return
        yield from (f"### {self.w('prices')}", "")
        rows = [
            [
                pair.list_ or self.w("base_price"),
                pair.type_ or self.w("base_price"),
                self.w("adds_vat") if pair.adds_vat else "",
            ]
            for pair in system.file.prices
        ]
        yield from self.table([self.w(head) for head in ("price_list", "price_type", "rule")], rows)

    def accounting_rules(self, system: System) -> Iterator[str]:
        file = system.file
        yield from (f"### {self.w('vat')}", "")
        rows = [
            [
                self.w("without_vat") if v.rate is None else f"{v.rate.normalize():f} %",
                f"`{v.value}`",
                self.dated(v),
            ]
            for v in file.vat
        ]
        yield from self.table([self.w(head) for head in ("vat_rate", "vat_value", "period")], rows)
        yield from (f"### {self.w('currencies')}", "", f"{self.w('own_currency')} {file.currency}.", "")
        yield from self.table(
            [self.w("currency"), self.w("code")], [[c.code, f"`{c.value}`"] for c in file.currencies]
        )
        yield from (f"### {self.w('units')}", "")
        yield from self.table(
            [self.w("spellings"), self.w("code")], [[", ".join(u.name), f"`{u.code}`"] for u in file.units]
        )
        yield from (f"### {self.w('rates_of')}", "")
        money = file.money
        yield f"- {self.w('rounding')}: {file.reconcile.rounding_up_to} {file.currency}"
        yield f"- {self.w(f'vat_terms_{money.vat_terms}')}"
        yield f"- {self.w(f'vat_rounding_{money.vat_rounding}')}"
        yield f"- {self.w('price_digits')}: {money.price_digits}. {self.w(f'inexact_price_{money.inexact_price}')}"
        if money.rate_holds_days is not None:
            yield f"- {self.w('rate_holds_days')}: {money.rate_holds_days}"
        yield from (f"- {said}" for said in self.allowed(system))
        yield ""

    def allowed(self, system: System) -> Iterator[str]:
        """Who lets documents go, whose they are, what stands for a value that is lacking, what stops a load."""
        file, approval = system.file, system.approval
        if isinstance(approval, str):
            yield self.w(f"approval_{approval}")
        else:
            yield f"{self.w('approval_up_to')} {approval.auto_up_to.normalize():f} {file.currency}"
        if file.organization is not None:
            yield f"{self.w('organization')}: {self.w('number')} {file.organization.tax_number}"
        for name, value in (("contract", file.defaults.contract), ("unit", file.defaults.unit)):
            if value is not None:
                yield f"{self.w(f'default_{name}')}: «{value}»"
        yield f"{self.w('settlement_accounts')}: {', '.join(file.reconcile.settlement_accounts)}"
        yield f"{self.w('cost_accounts')}: {', '.join(file.reconcile.cost_accounts)}"
        share = (file.gate.max_held_share * 100).normalize()
        yield self.w("gate").format(share=f"{share:f}", least=file.gate.min_batch)
        if file.expects:
            yield f"{self.w('expects')}: {', '.join(thing(kind, self.language) for kind in file.expects)}"
        for kind, why in file.without.items():
            yield f"{self.w('without')}: {thing(kind, self.language)} ({why})"

    # ---- fields

    def reads(self, system: System) -> Iterator[str]:
        first = "crm_field" if system.role == "crm" else "source_field"
        for read in system.reads:
            if read.join:
                continue
            part = f", {read.rule.each}" if read.rule.each else ""
            where = f" (`{read.entity}{part}`)" if read.entity else f" ({self.w('written_out')})"
            yield from (f"### {thing(read.table, self.language)}{where}", "")
            if read.rule.rows is not None:
                heads = [*dict.fromkeys(name for row in read.rule.rows for name in row)]
                yield from self.table(heads, [[str(row.get(h, "")) for h in heads] for row in read.rule.rows])
                continue
            heads = [self.w(first), self.w("our_field")]
            if system.role == "crm":
                heads.append(self.w("accounting_field"))
            yield from self.table([*heads, self.w("rule")], [*self.read_rows(system, read.table, read.rule)])

    def read_rows(self, system: System, table: str, rule: ReadRule) -> Iterator[list[str]]:
        target = targets().get(table)
        for name, field in rule.fields.items():
            column = target.column(name) if target else None
            comment = f" ({column.comment})" if column and self.language == "en" else ""
            row = [self.origin(field), f"`{name}`{comment}"]
            if system.role == "crm":
                row.append(self.carried(f"{table}.{name}"))
            yield [*row, self.treatment(field)]

    def carried(self, column: str) -> str:
        """The accounting fields that one of our columns ends in."""
        write = self.mappings.accounting().write
        found = []
        for kind, ours in CARRIED.get(column, ()):
            rule = write.get(kind)
            if rule is not None:
                line = column.startswith("core.deal_line.")
                groups = [lines.fields for lines in rule.lines] if line else [rule.fields]
                names = [n for fields in groups for n, f in fields.items() if ours in f.from_]
                found += [f"{thing(kind, self.language)}: `{n}`" for n in dict.fromkeys(names)]
        return "<br>".join(dict.fromkeys(found))

    def origin(self, field: FieldRule) -> str:
        match field.source:
            case "from":
                return " / ".join(f"`{path}`" for path in field.from_)
            case "choose":
                return " / ".join(
                    dict.fromkeys(f"`{p}`" for c in field.choose for w in c.when for p in w.from_)
                )
            case "parent":
                return self.w("of_parent")
        return NOTHING

    def treatment(self, field: FieldRule) -> str:
        """What is done with a value, in words."""
        said = []
        if field.source == "constant":
            said.append(f"{self.w('constant')} «{self.shown(field.constant)}»")
        if field.expression is not None:
            said.append(f"{self.w('computed')}: `{field.expression}`")
        if field.template is not None:
            said.append(f"«{field.template}»")
        if field.account is not None:
            said.append(f"{self.w('account')} {field.account}")
        if field.warehouse is not None:
            said.append(f"{self.w('warehouse')} «{field.warehouse}»")
        if len(field.from_) > 1:
            said.append(self.w("first_of"))
        if field.clean:
            said.append(f"{self.w('cleaned')} {self.w(field.clean)}")
        if field.ref:
            said.append(f"{self.w('reference')}: {thing(field.ref, self.language)}")
        if field.as_ == "money":
            said.append(self.w("rounded"))
        if field.map is not None:
            pairs = ", ".join(f"«{key}» → {self.shown(value)}" for key, value in field.map.items())
            said.append(f"{self.w('translated')}: {pairs}")
        said += [
            f"{' & '.join(map(self.condition, choice.when))} → {self.shown(choice.value)}"
            for choice in field.choose
        ]
        if field.has_otherwise:
            said.append(f"{self.w('otherwise')} {self.shown(field.otherwise)}")
        if field.unlisted == "keep":
            said.append(self.w("unlisted"))
        if field.none:
            said.append(f"{', '.join(f'«{value}»' for value in field.none)} {self.w('means_empty')}")
        if field.required:
            said.append(self.w("required"))
        if field.has_empty and field.empty not in (None, ""):
            said.append(f"{self.w('if_empty')} «{self.shown(field.empty)}»")
        return "; ".join(said)

    def writes(self, rules: Mapping[str, WriteRule], title: str) -> Iterator[str]:
        if not rules:
            return
        yield from (f"### {self.w(title)}", "")
        heads = [self.w("target_field"), self.w("our_field"), self.w("rule")]
        for kind, rule in rules.items():
            posting = (
                f", {self.w('posted' if rule.post else 'not_posted')}"
                if kind in ("invoice", "realization")
                else ""
            )
            yield from (f"**{thing(kind, self.language)}**{posting}", "")
            yield from self.policy(kind, rule)
            yield from self.owners(rule)
            yield from self.table(heads, [*self.write_rows(rule.fields)])
            for lines in rule.lines:
                when = "" if lines.when == "true" else f" (`{lines.when}`)"
                yield from (f"{thing(kind, self.language)}, {self.w('lines_of')} {lines.into}{when}:", "")
                yield from self.table(heads, [*self.write_rows(lines.fields)])

    def policy(self, kind: str, rule: WriteRule) -> Iterator[str]:
        """What becomes of a document that accounting holds, when its deal changes."""
        if kind not in DOCUMENTS:
            return
        if not rule.policy:
            yield from (self.w("policy_none"), "")
            return
        rows = [
            [self.w(f"state_{state}"), self.f(field), self.w(f"policy_{action}")]
            for state, actions in rule.policy.items()
            for field, action in actions.items()
        ]
        yield from (f"{self.w('policy')}:", "")
        yield from self.table([self.w(head) for head in ("state", "changed", "follows")], rows)

    def owners(self, rule: WriteRule) -> Iterator[str]:
        """Whose each field is, and what follows when accounting takes something back, where the file says so."""
        said = [f"{self.f(name)}: {self.w(f'owner_{owner}')}" for name, owner in rule.owner.items()]
        if said:
            yield from (f"{self.w('owned')}: {'; '.join(said)}.", "")
        if "undone" in rule.model_fields_set:
            undone = rule.undone.model_dump()
            said = [f"{self.f(name)}: {self.w(f'undone_{what}')}" for name, what in undone.items()]
            yield from (f"{self.w('undone')}: {'; '.join(said)}.", "")

    def f(self, name: str) -> str:
        return field_word(name, self.language)

    def write_rows(self, fields: Mapping[str, FieldRule]) -> Iterator[list[str]]:
        for name, field in fields.items():
            yield [f"`{name}`", self.origin(field), self.treatment(field)]

    # ---- small things

    def shown(self, value: object) -> str:
        return (
            NOTHING
            if value is None or value == ""
            else str(value).lower()
            if isinstance(value, bool)
            else str(value)
        )

    def dated(self, rule: Dated) -> str:
        return self.period(rule.from_, rule.to)

    def period(self, start: date | None, end: date | None) -> str:
        said = [f"{self.w(name)} {self.day(day)}" for name, day in (("since", start), ("until", end)) if day]
        return " ".join(said) or self.w("always")

    def day(self, day: date) -> str:
        return day.strftime("%d.%m.%Y") if self.language == "ru" else day.isoformat()

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
        if not rows:
            return
        yield "| " + " | ".join(heads) + " |"
        yield "|" + " --- |" * len(heads)
        for row in rows:
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        yield ""
