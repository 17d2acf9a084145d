"""Change tracking of the stand-in of Dynamics 365: baselines, deltas, deletions, merges, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.dynamics.environment import Environment, number_in, source_id
from tests.sandbox_process import running

TRACK = "odata.track-changes"


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with running("--deals", "60") as sandbox:
        yield Environment(sandbox)


def test_a_delta_brings_what_changed_then_what_was_deleted(env: Environment) -> None:
    rows, link = env.delta("opportunities?$select=name", Prefer=f"{TRACK},odata.maxpagesize=25")
    assert {row["opportunityid"] for row in rows} == set(env.truth("deal"))
    some = sorted(row["opportunityid"] for row in rows)[:4]
    env.do(do="put", entity="deal", number=number_in(some[0]), body={"title": "first"})
    env.do(do="remove", entity="deal", number=number_in(some[1]))
    env.do(do="put", entity="deal", number=number_in(some[2]), body={"title": "second"})
    made = env.do(do="add", entity="deal", like=number_in(some[2]), body={"title": "brief"})["number"]
    env.do(do="remove", entity="deal", number=made)
    assert (
        int(env.ask("GET", link.replace("opportunities?", "opportunities/$count?")).text.lstrip("\ufeff"))
        == 4
    )
    changed, link = env.delta(link, Prefer="odata.maxpagesize=1")
    assert [row.get("name") for row in changed] == ["first", "second", None, None]
    assert [(row["id"], row["reason"]) for row in changed[2:]] == [
        (some[1], "deleted"), (source_id("deal", made), "deleted"),
    ]  # fmt: skip
    assert changed[2]["@odata.context"].endswith("$metadata#opportunities/$deletedEntity")
    assert env.delta(link)[0] == []


def test_what_changes_while_a_baseline_is_read_comes_with_the_delta(env: Environment) -> None:
    pages = env.pages("accounts?$select=name", Prefer=f"{TRACK},odata.maxpagesize=10")
    first = next(pages)["value"]
    env.do(do="put", entity="client", number=number_in(first[0]["accountid"]), body={"phone": "+74951234567"})
    last = list(pages)[-1]
    assert [row["accountid"] for row in env.delta(last["@odata.deltaLink"])[0]] == [first[0]["accountid"]]


def test_a_line_that_changes_quietly_moves_its_own_row_and_not_the_opportunity(env: Environment) -> None:
    _, deals = env.delta("opportunities?$select=name", Prefer=TRACK)
    _, lines = env.delta("opportunityproducts?$select=quantity", Prefer=TRACK)
    key = next(iter(env.truth("line")))
    deal = env.get(f"opportunityproducts({key})?$select=_opportunityid_value")["_opportunityid_value"]
    before = env.get(f"opportunities({deal})?$select=modifiedon")
    env.do(do="put", entity="line", number=number_in(key), body={"quantity": 77})
    assert [row["opportunityproductid"] for row in env.delta(lines)[0]] == [key]
    assert env.delta(deals)[0] == []
    assert env.get(f"opportunities({deal})?$select=modifiedon") == before


def test_a_merged_account_stays_deactivated_and_names_its_survivor(env: Environment) -> None:
    _, link = env.delta("accounts?$select=name,merged,_masterid_value,statecode", Prefer=TRACK)
    winner, loser = sorted(env.truth("client"))[:2]
    env.do(do="merge", entity="client", number=number_in(loser), into=number_in(winner))
    row = env.get(f"accounts({loser})")
    assert (row["merged"], row["_masterid_value"], row["statecode"], row["statuscode"]) == (
        True,
        winner,
        1,
        2,
    )
    changed = {row.get("accountid"): row for row in env.delta(link)[0]}
    assert changed.keys() == {winner, loser}
    assert changed[loser]["merged"] is True
    stamp = row["modifiedon"]
    late = env.rows(f"accounts?$select=name&$filter=modifiedon ge {stamp}&$orderby=modifiedon asc")
    assert loser in {row["accountid"] for row in late}


@pytest.mark.parametrize("option", ["$filter=statecode eq 0", "$orderby=name", "$expand=ownerid", "$top=3"])
def test_change_tracking_takes_no_other_options(env: Environment, option: str) -> None:
    name = option.partition("=")[0]
    status, _, message = env.refused("GET", f"accounts?{option}", Prefer=TRACK)
    assert (status, message) == (
        400,
        f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.',
    )


def test_an_old_delta_token_asks_for_a_full_sync(env: Environment) -> None:
    _, link = env.delta("products?$select=name", Prefer=TRACK)
    env.control("expire-deltas")
    assert env.refused("GET", link)[:2] == (400, "0x80044352")
    with env.option(expired_delta=410):
        assert env.refused("GET", link)[0] == 410
    old = link.partition("$deltatoken=")[0] + "$deltatoken=5.1%2101%2f01%2f2020%2000%3a00%3a00"
    assert "full sync" in env.refused("GET", old)[2]


def test_tables_without_change_tracking_refuse_it_and_say_so_in_their_definition(env: Environment) -> None:
    assert "not enabled" in env.refused("GET", "processstages?$select=stagename", Prefer=TRACK)[2]
    with env.option(untracked=["opportunityproduct"]):
        names = {
            row["LogicalName"]
            for row in env.get("EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true")[
                "value"
            ]
        }
        assert "opportunity" in names
        assert not names & {"opportunityproduct", "processstage"}
        assert env.refused("GET", "opportunityproducts", Prefer=TRACK)[0] == 400


@pytest.mark.parametrize(
    ("plural", "key"),
    [
        ("accounts", "accountid"), ("contacts", "contactid"), ("opportunities", "opportunityid"),
        ("opportunityproducts", "opportunityproductid"), ("invoices", "invoiceid"), ("products", "productid"),
    ],
)  # fmt: skip
def test_a_copy_that_is_kept_by_deltas_is_what_a_full_read_finds(
    env: Environment, plural: str, key: str
) -> None:
    rows, link = env.delta(plural, Prefer=TRACK)
    copy = {row[key]: row for row in rows}
    for seed in (3, 4):
        env.sandbox.control("crm/dynamics/change", {"seed": seed, "count": 200})
        changed, link = env.delta(link, Prefer="odata.maxpagesize=7")
        for row in changed:
            if row.get("reason") == "deleted":
                copy.pop(row["id"], None)
            else:
                copy[row[key]] = row
    assert copy == {row[key]: row for row in env.rows(plural)}


def test_a_late_stamp_hides_from_the_filter_and_not_from_the_delta(env: Environment) -> None:
    _, link = env.delta("opportunities?$select=modifiedon", Prefer=TRACK)
    mark = env.get("opportunities?$select=modifiedon&$orderby=modifiedon desc&$top=1")["value"][0][
        "modifiedon"
    ]
    key = env.get("opportunities?$select=name&$orderby=createdon asc&$top=1")["value"][0]["opportunityid"]
    late = (datetime.fromisoformat(mark) - timedelta(minutes=4)).isoformat()
    env.do(do="put", entity="deal", number=number_in(key), body={"title": "late"}, at=late)
    seen = env.rows(f"opportunities?$select=modifiedon&$filter=modifiedon ge {mark}")
    assert [row["opportunityid"] for row in env.delta(link)[0]] == [key]
    assert key not in {row["opportunityid"] for row in seen}
