"""`sverka mappings diff` foretells what the next sync does, and leaves the database as it was."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from mappings.difference import RuleChange, rule_changes
from pipelines import checks, sync
from pipelines.commands import mapping_diff
from pipelines.commands.session import CONSOLE
from pipelines.rehearsal import Foretold, deployed, foretell, proposed
from resources.warehouse import Warehouse, WarehouseError
from tests.laws.acts import ACCOUNTING, BRANCH, CRM, Act, do, history
from tests.laws.conftest import Towns, examples
from tests.laws.one_deal import deal_of
from tests.laws.test_plan_told import one_deal
from tests.laws.town import DEMO, TODAY, Done, Town, mappings_of

CHANGES = ("alias", "stage", "account", "stock", "follows", "by_sum", "vat")
FOLLOWED = (("follows", "corrected"), ("follows", "reversed"), ("follows", "mixed"))


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate asks by the town's own day."""

    class Day(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Day:
            return cls(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)

    monkeypatch.setattr(checks, "datetime", Day)


def everything(warehouse: Warehouse) -> dict[str, Any]:
    """What every table of ours holds, and what relations and functions there are. Views say what tables hold, and some
    how long ago that was."""
    relations = warehouse.rows(
        "select format('%I.%I', nspname, relname), c.relkind = 'r' from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'v') and nspname not in ('pg_catalog', 'information_schema', 'dagster')"
        " and not starts_with(nspname, 'pg_t') order by 1"
    )
    found: dict[str, Any] = {"relations": relations}
    found["functions"] = warehouse.rows("select oid from pg_proc order by 1")
    found["indexes"] = warehouse.rows("select schemaname, indexname from pg_indexes order by 1, 2")
    for name in (name for name, is_table in relations if is_table):
        found[name] = warehouse.rows(
            f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from {name} t"
        )
    return found


def documents(town: Town) -> dict[str, str]:
    """Every document by its key, with its lines, as text."""
    return dict(
        town.rows(
            """
            select document_key, d::text || coalesce((
                select string_agg(l::text, ' ' order by line_id) from documents.document_line l
                where l.deal_id = d.deal_id and d.lines is null), '')
            from documents.document d
            """
        )
    )


def decisions(town: Town) -> dict[str, set[Any]]:
    asked = (
        "select o.key, q.question_id from ops.question q join ops.operation o using (operation_id)"
        " where q.answer is null and q.withdrawn_at is null"
    )
    ended = "select o.key, r.ending, r.revision, r.number from ops.revision r join ops.operation o using (operation_id)"
    updates = (
        "select key, operation_id, content_hash from ops.operation where action = 'update' and ops.is_document(kind)"
        " and state in ('planned', 'approved', 'held')"
    )
    return {
        name: set(town.rows(query))
        for name, query in {"question": asked, "ended": ended, "update": updates}.items()
    }


def derive(town: Town) -> Done:
    done = Done()
    town.derive(done)
    done.planned = sync.plan_operations(town.road)
    return done


def foretold(town: Town, names: Collection[str]) -> Foretold:
    """What is foretold of these rewordings; it leaves nothing behind."""
    new = mappings_of(town.folder, town.reworded.symmetric_difference(names))
    before = everything(town.warehouse)
    found = foretell(town.warehouse, deployed(town.warehouse, town.folder), new)
    assert everything(town.warehouse) == before
    return found


@settings(max_examples=examples(6))
@given(
    history(CRM, BRANCH, ACCOUNTING, most=8),
    st.sampled_from([(), *FOLLOWED]),
    st.sets(st.sampled_from(CHANGES), min_size=1, max_size=2),
)
@example([], ("follows", "corrected"), {"stage"})
@example([Act("give_deal", 0, 1, 7)], (), {"vat", "alias"})
def test_the_next_sync_does_what_was_foretold(
    towns: Towns, acts: list[Act], policy: tuple[str, ...], names: set[str]
) -> None:
    with towns(Town.sync) as town:
        if policy:
            town.remap(*policy)
        town.sync()
        town.sync()
        for act in acts:
            do(town, act)
        town.read(Done())
        derive(town)
        held, decided, was_held = documents(town), decisions(town), held_deals(town)
        found = foretold(town, names)
        town.remap(*names)
        done = derive(town)
        assert found.planned == done.planned
        now, came = documents(town), decisions(town)
        became = {
            key: "appears" if key not in held else "vanishes" if key not in now else "changes"
            for key in held | now
            if held.get(key) != now.get(key)
        }
        assert {one.document_key: one.became for one in found.documents if one.became != "same"} == became
        for what, follows in {
            "question": ("question",),
            "ended": ("correction", "reversal"),
            "update": ("update",),
        }.items():
            keys = {row[0] for row in came[what] - decided[what]}
            told = {one.document_key.split(":")[1] for one in found.documents if one.follows in follows}
            assert told == keys, what
            event(f"{what}: {len(keys) > 0}")
        assert {one.deal for one in found.held} == held_deals(town) - was_held
        assert set(found.released) == was_held - held_deals(town)


def held_deals(town: Town) -> set[str]:
    return {deal for (deal,) in town.rows("select distinct deal_id from documents.held")}


def test_a_posted_document_is_followed_and_never_touched(towns: Towns) -> None:
    with towns(one_deal("WON", "follows", "corrected")) as town:
        town.portal.put_line(deal_of(town), next(iter(town.portal.lines(deal_of(town)))), price="900.00")
        # The stage rule no longer asks for anything: the policy asks a person about what is posted.
        found = foretold(town, {"stage"})
        assert all(
            one.state != "unsent" or one.follows in ("write", "held", "dropped") for one in found.documents
        )
        assert {one.follows for one in found.posted} <= {
            "correction",
            "reversal",
            "question",
            "left",
            "update",
        }


def test_rules_that_are_the_same_touch_nothing(towns: Towns) -> None:
    with towns() as town:
        found = foretold(town, ())
        assert found.rules == []
        assert found.documents == ()


def test_nothing_is_foretold_by_a_table_of_another_shape_before_that_is_deployed(towns: Towns) -> None:
    with towns(Town.sync) as town:
        town.warehouse.execute(
            "update ops.table_version set fingerprint = 'another/' || split_part(fingerprint, '/', 2) where table_name = 'core.deal'"
        )
        with pytest.raises(
            WarehouseError, match=r"core\.deal: .* Deploy the table first: .* `sverka mappings diff FOLDER`"
        ):
            foretold(town, {"stage"})
        sync.prepare(town.road)
        assert foretold(town, {"stage"}).rules


def test_deals_that_are_held_no_more_are_counted_where_not_all_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rule = RuleChange("bitrix24", "stages", "changed", "a", "b")
    found = Foretold([rule], released=[f"bitrix24:{number}" for number in range(50)])
    mapping_diff._Page(found, "en", 40).show()
    told = capsys.readouterr().out
    assert "bitrix24:39" in told
    assert "bitrix24:40" not in told
    assert "… and 10 more: sverka mappings diff --whole" in told


def test_one_file_takes_the_place_of_the_companys_own(tmp_path: Path) -> None:
    company = tmp_path / "company"
    company.mkdir()
    for file in DEMO.glob("*.yaml"):
        (company / file.name).write_bytes(file.read_bytes())
    draft = tmp_path / "bitrix24.yaml"
    text = (DEMO / "bitrix24.yaml").read_text(encoding="utf-8")
    draft.write_text(
        text.replace("amount: {from: opportunity, as: money}", "amount: {from: sum, as: money}", 1),
        encoding="utf-8",
    )
    new = proposed(draft, company)
    assert {system.name for system in new.systems} == {"bitrix24", "branch", "onec"}
    assert new.system("bitrix24").source.path == company / "bitrix24.yaml"
    (change,) = rule_changes(proposed(company, company), new)
    assert (change.system, change.rule, change.what) == (
        "bitrix24",
        "read core.deal fields amount",
        "changed",
    )
    assert (change.old, change.new) == (
        '{"from": "opportunity", "as": "money"}',
        '{"from": "sum", "as": "money"}',
    )


@pytest.mark.parametrize("language", ["en", "ru"])
def test_people_read_it_in_their_language(
    towns: Towns, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, language: Any
) -> None:
    with towns(Town.sync) as town:
        found = foretold(town, {"stage"})
        monkeypatch.setattr(CONSOLE, "width", 200)
        mapping_diff._Page(found, language, None).show()
        told = capsys.readouterr().out
    assert ("Rules that differ" in told) == (language == "en")
    assert ("Отличается правил" in told) == (language == "ru")
    assert ("taken back" in told) == (language == "en")
    assert not (
        language == "ru"
        and any(word in told for word in ("appears", "vanishes", "is to be written", "stays"))
    )
    assert found.documents
