"""Mapping files: what they may say, and what a person is told when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappings import MappingError, load
from mappings.rules import settings
from pipelines.commands import work
from tests.mapping.mapping_road import ENVIRON, MAPPINGS, write_folder

HEAD = "system: shop\nconnector: files\nrole: crm\ntitle: Shop\n"
DEAL = "read:\n  core.deal:\n    from: deal\n    fields:\n"


def problems(folder: Path, body: str, **files: str) -> str:
    """What load says of a CRM file with this body. HEAD has four lines."""
    with pytest.raises(MappingError) as caught:
        load(write_folder(folder, shop=HEAD + body, **files), {})
    return str(caught.value)


@pytest.mark.parametrize("folder", ["demo", "sales_opportunities"])
def test_the_set_ups_that_come_along_are_valid(folder: str) -> None:
    found = load(MAPPINGS / folder, ENVIRON)
    assert found.accounting().name == "onec"
    assert found.sources()
    assert all(system.connection for system in found.systems)


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("reed: {}\n", 5, "unknown key `reed`. Did you mean `read`?"),
        (DEAL + "      title: {frm: x}\n", 9, "unknown key `frm`. Did you mean `from`?"),
        ("min_batch: 5\n", 5, "unknown key `min_batch` in the head of the file. It belongs to `gate`; move it"),
        ("read:\n  core.deal:\n    aliases: []\n", 7, "unknown key `aliases` in `core.deal`. It belongs to `prod"),
        ("gate: {share: 1}\n", 5, "unknown key `share`. Here may stand: max_held_share, min_batch."),
        (DEAL + "      titel: x\n", 9, "core.deal has no column `titel`. Did you mean `title`?"),
        ("read: {core.deals: {from: deal, fields: {a: b}}}\n", 5, "Did you mean `core.deal`?"),
        (DEAL + "      amount: {from: x, as: mony}\n", 9, "'money'"),
        (DEAL + "      amount: {from: x, as: date}\n", 9, "`as: date` does not fit amount"),
        (DEAL + "      title: {from: x, clean: fone}\n", 9, "'phone'"),
        (DEAL + "      client_record_id: {from: x, ref: core.client_recrd}\n", 9, "Did you mean `core.client_record`?"),
        (DEAL + "      client_record_id: {from: x, ref: core.client_record}\n", 9, "which nothing here fills"),
        (DEAL + "      title: {from: x, constant: y}\n", 9, "`from` and `constant` stand side by side"),
        (DEAL + "      title: {}\n", 9, "nothing says where the value comes from"),
        (DEAL + "      title: 'a..b'\n", 9, "cannot be read as a path"),
        (DEAL + "      source: x\n", 9, "`source` is filled by itself"),
        (DEAL + "      title: '@price.x'\n", 9, "a join that is not there"),
        (DEAL + "      amount: {constant: viel}\n", 9, "does not fit amount"),
        (DEAL + "      amount: {expression: 'pg_sleep(9)'}\n", 9, "is not allowed"),
        (DEAL + "      amount: {expression: '(select 1)'}\n", 9, "is not allowed"),
        (DEAL + "      amount: {expression: 'price * 2'}\n", 9, "no column `price`"),
        ("read: {core.deal_line: {from: l, parent: {ref: core.deal}, fields: {unit: u}}}\n", 5, "needs `dea"),
        ("read:\n  core.deal_line:\n    from: o\n    each: l\n    fields:\n      deal_id: /d\n", 10, "/path}`"),
        ("read: {core.deal_line: {from: o, each: l, parent: {ref: core.deal}, fields: {a: b}}}\n", 5, "or add `from` to it"),
        ("stages:\n- {stage: [A, B], documents: []}\n- {stage: B, documents: []}\n", 7, "never decides"),
        ("stages:\n- {stage: A, documents: [bill]}\n", 6, "'invoice'"),
        ("stages:\n- {stage: A}\n", 6, "nothing is decided"),
        ("stages:\n- {stage: A, ignore: true}\n", 6, "`why` is missing"),
        ("products: {aliases: [{name: a, is: b}, {name: A, is: c, from: 2026-01-01}]}\n", 5, "twice on 2026"),
        ("units: [{name: [шт, Шт], code: '796'}]\n", 5, "the unit `Шт` is given twice"),
        ("vat: [{rate: 20, value: x}]\n", 5, "belongs to the accounting file"),
        ("gate: {min_batch: 5}\n", 5, "`gate` belongs to the accounting file. Move it there"),
        ("defaults: {vat: 20}\n", 5, "unknown key `vat` in `defaults`. It belongs to the head of the file; move"),
        ("clients: {trust: {nam: 2}}\n", 5, "unknown key `nam`. Did you mean `name`?"),
        ("clients: {trust: {name: 200}}\n", 5, "`clients.trust.name`: input should be less than or equal to 100"),
        ("clients: {trust: {name: high}}\n", 5, "`clients.trust.name`: input should be a valid integer"),
        ("clients: {name: 2}\n", 5, "unknown key `name` in `clients`. It belongs to `trust` there; move it"),
        ("timezone: Moscow\n", 5, "no IANA time zone"),
        ("title: Again\n", 5, "`title` stands here twice"),
        ("read:\n  core.deal: [\n", 7, "no valid YAML"),
        ("connection:\n  a: 1\n  url: '${SHOP_URL}'\n", 7, "Set SHOP_URL or write the address in"),
    ],
)  # fmt: skip
def test_an_error_names_its_line_and_a_remedy(tmp_path: Path, body: str, line: int, says: str) -> None:
    told = problems(tmp_path, body)
    assert says in told
    assert f"shop.yaml:{line}: " in told


@pytest.mark.parametrize(
    ("connector", "says"),
    [
        ("bitrx24", "no connector `bitrx24` of `role: crm`. Did you mean `bitrix24`?"),
        ("onec", "no connector `onec` of `role: crm`. It is one of `role: accounting`."),
        ("rows", "no connector `rows` of `role: crm`. There are: amocrm, bitrix24, "),
    ],
)
def test_a_connector_that_is_not_there_is_told_with_its_line(
    tmp_path: Path, connector: str, says: str
) -> None:
    head = HEAD.replace("connector: files", f"connector: {connector}")
    with pytest.raises(MappingError) as caught:
        load(write_folder(tmp_path, shop=head), {})
    assert f"shop.yaml:2: {says}" in str(caught.value)


def test_overlapping_vat_rates_are_refused_and_adjoining_ones_are_not(tmp_path: Path) -> None:
    books = (
        "system: books\nconnector: onec\nrole: accounting\ntitle: Books\nvat:\n"
        "- {rate: 20, value: A, to: 2025-12-31}\n- {rate: 20.0, value: B, from: %s}\n"
    )
    load(write_folder(tmp_path, books=books % "2026-01-01"), {})
    with pytest.raises(MappingError, match="the VAT rate 20 is given twice on 2025-12-31"):
        load(write_folder(tmp_path, books=books % "2025-12-31"), {})


def test_rules_of_different_days_do_not_shadow_each_other_but_together_they_do(tmp_path: Path) -> None:
    two = (
        "stages:\n- {stage: A, documents: [], to: 2025-12-31}\n"
        "- {stage: A, documents: [invoice], from: 2026-01-01}\n"
    )
    load(write_folder(tmp_path, shop=HEAD + two), {})
    assert "never decides for stage A" in problems(tmp_path, two + "- {stage: A, documents: []}\n")


def test_a_document_that_deals_owe_and_accounting_has_no_word_of_is_told_at_its_stage(tmp_path: Path) -> None:
    stages = "stages:\n- {stage: A, documents: [order, invoice]}\n- {stage: B, documents: [realization]}\n"
    books = "system: books\nconnector: sap\nrole: accounting\ntitle: Books\n%s"
    said = "expects: [realization]\nwithout: {invoice: billed when shipped}\n"
    told = problems(tmp_path, stages, books=books % said)
    assert "shop.yaml:6: deals owe the document `order` here" in told
    assert "books.yaml writes none" in told
    assert told.count("deals owe") == 1
    twice = problems(tmp_path, "", books=books % "expects: [realization]\nwithout: {realization: none}\n")
    assert "`realization` is written or expected by this file" in twice


def test_one_company_has_one_accounting_system_and_every_system_one_file(tmp_path: Path) -> None:
    told = problems(tmp_path, "", other=HEAD)
    assert "the system `shop` is in" in told
    with pytest.raises(MappingError, match="no accounting system"):
        load(write_folder(tmp_path / "b", books=HEAD.replace("shop", "books")), {})
    with pytest.raises(MappingError, match="holds no mapping files"):
        load(tmp_path / "nowhere", {})


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    told = problems(tmp_path, "timezone: Moscow\nreed: 1\n", other="system: [\n")
    assert told.count("\n") == 2
    assert "no accounting" not in told


def test_variables_come_from_the_environment_or_their_default(tmp_path: Path) -> None:
    body = HEAD + 'connection: {url: "${U}", rate: "${R:-5}", deep: [{a: "x${U}"}]}\n'
    system = load(write_folder(tmp_path, shop=body), {"U": "https://u"}).system("shop")
    assert system.connection == {"url": "https://u", "rate": "5", "deep": [{"a": "xhttps://u"}]}
    assert "https://u" not in repr(system)


def test_a_variable_that_is_not_set_is_named_by_the_checks_and_stops_no_other_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = HEAD + 'connection: {url: "${SHOP_ADDRESS}", rate: "${SHOP_RATE:-5}"}\n'
    folder = write_folder(tmp_path / "set-up", shop=body)
    monkeypatch.setenv("SVERKA_MAPPINGS", str(folder))
    monkeypatch.setenv("SVERKA_HOME", str(tmp_path / "home"))
    assert work.mappings_check() == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "2 mapping files of set-up are right" in told
    assert "warning" in told
    assert "${SHOP_ADDRESS} is not set. Set SHOP_ADDRESS or write the address in" in told
    assert "SHOP_RATE" not in told
    (problem,) = load(folder, {}, connected=False).unset()
    assert (problem.line, load(folder, {"SHOP_ADDRESS": "x"}).unset()) == (5, ())


def test_the_fields_of_a_payload_that_rules_read_are_known_by_entity(tmp_path: Path) -> None:
    body = (
        HEAD
        + """read:
  core.deal:
    from: deal
    join:
      lead: {entity: lead, key: leadId}
      pay: {entity: payment, on: {dealId: id}, where: {kind: "1"}}
    deleted: gone
    fields:
      title: ["{first} {last}", name]
      amount: "a.b[0].c"
      closed_on: "[closed=Y].closedate"
      client_record_id: {choose: [{when: {from: "@lead.status", equals: x}, value: y}]}
    ignore: [{rule: tests, when: {from: mark, empty: false}, why: tests}]
  core.deal_line:
    from: order
    each: rows
    key: number
    fields: {deal_id: {parent: true}, unit: unit, product_name: /label}
feedback: {deal: {fields: {UF_DEBT: {from: debt}}}}
"""
    )
    system = load(write_folder(tmp_path, shop=body), {}).system("shop")
    found = {entity: set(names) for entity, names in system.fields_read().items()}
    assert found == {
        "deal": {"leadId", "id", "gone", "first", "last", "name", "a", "closed", "closedate", "mark"},
        "lead": {"status"},
        "payment": {"dealId", "kind"},
        "order": {"rows", "label"},
    }
    assert system.fields_written() == {"deal": ("UF_DEBT",)}


def test_how_far_values_of_a_crm_are_trusted_is_a_setting(tmp_path: Path) -> None:
    body = HEAD + 'clients: {trust: {name: 2, phone: 0, "*": 3}, complete: [name, address]}\n'
    system = load(write_folder(tmp_path, shop=body), {}).system("shop")
    assert settings(system)["client_trust"] == {"name": 2, "phone": 0, "*": 3}
    assert settings(system)["client_complete"] == ["name", "address"]
    silent = load(write_folder(tmp_path, shop=HEAD), {}).system("shop")
    assert settings(silent)["client_trust"] == {"*": 1}


def test_yaml_reads_codes_as_people_write_them(tmp_path: Path) -> None:
    body = DEAL + "      currency: {from: c, map: {Norway: NO, 0123: 007, yes: on, 1: 2}}\n"
    rule = load(write_folder(tmp_path, shop=HEAD + body), {}).system("shop").reads[0].rule
    assert rule.fields["currency"].map == {"Norway": "NO", "0123": "007", "yes": "on", "1": "2"}


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    first = load(write_folder(tmp_path, shop=HEAD), {}).fingerprint
    assert load(tmp_path, {}).fingerprint == first
    assert load(write_folder(tmp_path, shop=HEAD + "# now\n"), {}).fingerprint != first
