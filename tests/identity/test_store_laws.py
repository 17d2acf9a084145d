"""Over random histories: order of arrival, incremental and all at once, merging and parting, ids, nobody lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from resources.warehouse import Warehouse
from tests.identity.clients import INNS, Clients, deployed, unsound
from tests.laws.conftest import examples

RECORDS = ("amocrm:1", "amocrm:2", "amocrm:3", "bitrix24:1", "bitrix24:2", "bitrix24:3", "megaplan:1")
LAWS = {
    "deadline": None,
    "database": None,
    "print_blob": True,
    "suppress_health_check": list(HealthCheck),
    "phases": [phase for phase in Phase if phase is not Phase.shrink],
}


@dataclass(frozen=True)
class Act:
    verb: str
    record: str
    other: str = ""
    fields: tuple[tuple[str, Any], ...] = ()


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


GIVE = st.builds(
    lambda record, **fields: Act(
        "give", record, fields=tuple((k, v) for k, v in sorted(fields.items()) if v is not None)
    ),
    st.sampled_from(RECORDS),
    name=some("ООО Ромашка", "Ромашка", "ООО Северный ветер", "ИП Иванов Иван Иванович", "тест тест"),
    inn=some(*INNS, "7707083894", (INNS[0], INNS[1])),
    phone=some("+79161234507", "+79031112233", ("+79161234507", "+74951112233")),
    email=some("info@romashka.ru", "sever@mail.ru"),
    contact=some("Иванов Иван", "Петрова Анна"),
    city=some("Москва", "Казань"),
    address=some("г. Москва, ул. Мира, д. 5", "Мира 5", "ул. Мира, 7"),
    kpp=some("770701001", "165543001"),
    day=st.integers(0, 3),
)
TWO = st.lists(st.sampled_from(RECORDS), min_size=2, max_size=2)
ACTS = st.one_of(
    GIVE,
    GIVE,
    GIVE,
    st.builds(Act, st.just("delete"), st.sampled_from(RECORDS)),
    st.builds(lambda pair: Act("merge", *pair), TWO),
    st.builds(Act, st.just("unmerge"), st.sampled_from(RECORDS)),
    st.builds(lambda pair: Act("same", *pair), TWO),
    st.builds(lambda pair: Act("different", *pair), TWO),
    st.just(Act("undo", "")),
    st.just(Act("sync", "")),
    st.just(Act("sync", "")),
)


def do(clients: Clients, act: Act) -> None:
    event(act.verb)
    match act.verb:
        case "give":
            clients.give(act.record, **dict(act.fields))
        case "delete":
            clients.delete(act.record)
        case "merge":
            clients.merge(act.record, act.other)
        case "unmerge":
            clients.merge(act.record, None)
        case "same":
            clients.same(act.record, act.other)
        case "different":
            clients.different(act.record, act.other)
        case "undo":
            clients.undo(clients.last_decision())
        case "sync":
            clients.sync()
            assert unsound(clients) == []


@pytest.fixture(scope="module")
def one(server_url: str, template: str) -> Iterator[Clients]:
    with deployed(server_url, template) as warehouse:
        yield Clients(warehouse)


@pytest.fixture(scope="module")
def other(server_url: str, template: str) -> Iterator[Clients]:
    with deployed(server_url, template) as warehouse:
        yield Clients(warehouse)


def lived(clients: Clients, acts: list[Act]) -> None:
    clients.clear()
    for act in acts:
        do(clients, act)
    clients.sync()
    assert unsound(clients) == []


@settings(max_examples=examples(6), **LAWS)
@given(st.lists(ACTS, min_size=4, max_size=14))
def test_any_history_gives_the_clients_and_pairs_that_all_at_once_from_nothing_gives(
    one: Clients, other: Clients, acts: list[Act]
) -> None:
    lived(one, acts)
    living = one.living()
    other.clear()
    take_over(one.warehouse, other.warehouse)
    other.sync(everything=True)
    assert unsound(other) == []
    assert one.pairs() == other.pairs()
    assert one.parts(living) == other.parts(living)
    before = (one.members(), one.ids(), one.logged())
    one.sync(everything=True)
    assert (one.members(), one.ids(), one.logged()) == before, "making all of it anew changed something"


@settings(max_examples=examples(4), **LAWS)
@given(
    st.lists(GIVE, min_size=3, max_size=7, unique_by=lambda act: act.record),
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(one: Clients, acts: list[Act], random: Any) -> None:
    lived(one, acts)
    parts, pairs = one.parts(), one.pairs()
    shuffled = list(acts)
    random.shuffle(shuffled)
    one.clear()
    for act in shuffled:
        do(one, act)
        do(one, Act("sync", ""))
    assert one.pairs() == pairs
    assert one.parts() == parts


@settings(max_examples=examples(5), **LAWS)
@given(st.lists(ACTS, min_size=3, max_size=10), TWO)
def test_joining_and_parting_again_leaves_records_ids_and_members_as_they_were(
    one: Clients, acts: list[Act], pair: list[str]
) -> None:
    lived(one, acts)
    before = (one.members(), one.ids(), one.pairs())
    told = one.same(*pair)
    event(f"joined: {told.done}")
    one.sync()
    assert unsound(one) == []
    if told.done:
        if len(set(pair) & set(one.living())) == 2:
            member = one.clients()
            assert member[pair[0]] == member[pair[1]]
        assert one.undo(one.last_decision()).done
        one.sync()
    assert (one.members(), one.ids(), one.pairs()) == before


@settings(max_examples=examples(5), **LAWS)
@given(st.lists(ACTS, min_size=3, max_size=12))
def test_a_client_that_lost_none_of_its_records_keeps_its_id(one: Clients, acts: list[Act]) -> None:
    one.clear()
    known: dict[str, str] = {}
    for act in [*acts, Act("sync", "")]:
        do(one, act)
        if act.verb == "sync":
            now = one.clients()
            founded = set(now.values())
            for record, client in known.items():
                # An id goes only by being forwarded to an older one, or by its record leaving the others.
                if record == client and now.get(record) != client:
                    assert now[record] in founded
                    assert dict(one.ids())[client] == now[record]
            known = now


def take_over(old: Warehouse, new: Warehouse) -> None:
    """What CRMs hold by now, and what people decided: what can be told once more."""
    with old.transaction() as source, new.transaction() as target:
        target.execute("set local session_replication_role = replica")
        for table in ("core.client_record", "core.requisite", "core.contact", "ops.identity_decision"):
            only = " where decided_by <> 'machine'" if table == "ops.identity_decision" else ""
            columns = ", ".join(
                row[0]
                for row in source.execute(
                    "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
                    " and attidentity = '' order by attnum",
                    [table],
                ).fetchall()
            )
            with (
                source.cursor().copy(
                    f"copy (select {columns} from {table}{only} order by 1) to stdout".encode()
                ) as out,
                target.cursor().copy(f"copy {table} ({columns}) from stdin".encode()) as into,
            ):
                for block in out:
                    into.write(block)
