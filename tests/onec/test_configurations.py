"""Configurations of 1C: their profiles, words that are keys, partners apart from counterparties, keys of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest

from resources.accounting.onec.connector import OneC, connect
from resources.accounting.onec.names import meaning
from resources.accounting.onec.partners import partner_key
from resources.accounting.onec.profile import PROFILES, Profile
from resources.accounting.onec.writing import link
from resources.connector import (
    ChecksFields,
    ComparesVersions,
    Conflict,
    KnowsItsShape,
    ReadsByKey,
    Refused,
    SourceError,
    Uncertain,
    Unposts,
)
from tests.onec.base import DAY, KEY, LATER, OTHER, ROOT, answer, asked, base, key_of, refusal

RATE = "0d1c2b3a-0000-4000-8000-000000000022"
PARTNER = "0d1c2b3a-0000-4000-8000-0000000000aa"


class Base:
    """Sets in memory: rows by set, served whole or by key; what was written, in order."""

    def __init__(self, profile: str | Mapping[str, Any], **sets: list[dict[str, Any]]) -> None:
        self.sets: dict[str, list[dict[str, Any]]] = sets
        self.fields: dict[str, list[str]] = {}
        self.sent: list[tuple[str, str, Any]] = []
        self.read: list[tuple[str, dict[str, str]]] = []
        self.outcomes: list[httpx.Response] = []
        self.onec = base(self.handle, page=100)
        self.onec.profile = Profile.read(PROFILES[profile] if isinstance(profile, str) else profile)

    def handle(self, request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        if request.method != "GET":
            body = msgspec.json.decode(request.content) if request.content else None
            self.sent.append((request.method, resource, body))
            if self.outcomes:
                return self.outcomes.pop(0)
            if request.method == "POST" and body:
                self.sets.setdefault(resource, []).append(body)
            return httpx.Response(201, json={"Ref_Key": (body or {}).get("Ref_Key", "")})
        if resource == "$metadata":
            return httpx.Response(200, text=metadata(self.fields))
        self.read.append((resource, options))
        rows = self.sets.get(resource, [])
        where = options.get("$filter", "")
        return answer([row for row in rows if "Ref_Key eq" not in where or row["Ref_Key"] in where])


def metadata(fields: Mapping[str, list[str]]) -> str:
    """`$metadata` of these sets; `Part/Field` is a field of a tabular part."""
    types, sets = [], []
    for name, whole in fields.items():
        parts = {field.partition("/")[0] for field in whole if "/" in field}
        own = [f'<Property Name="{field}" Type="Edm.String"/>' for field in whole if "/" not in field]
        own += [
            f'<Property Name="{part}" Type="Collection(StandardODATA.{name}_{part}_RowType)"/>'
            for part in parts
        ]
        types.append(f'<EntityType Name="{name}">{"".join(own)}</EntityType>')
        for part in parts:
            inner = [f for f in whole if f.startswith(f"{part}/")]
            rows = "".join(f'<Property Name="{f.partition("/")[2]}" Type="Edm.String"/>' for f in inner)
            types.append(f'<ComplexType Name="{name}_{part}_RowType">{rows}</ComplexType>')
        sets.append(f'<EntitySet Name="{name}" EntityType="StandardODATA.{name}"/>')
    return f"<Schema>{''.join(types)}<EntityContainer>{''.join(sets)}</EntityContainer></Schema>"


# ---- profiles ---------------------------------------------------------------------------------


def test_the_connector_offers_what_the_road_asks_for() -> None:
    onec = Base("accounting_3").onec
    for protocol in (ChecksFields, ComparesVersions, KnowsItsShape, ReadsByKey, Unposts):
        assert isinstance(onec, protocol), protocol


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_is_whole_and_every_entity_of_it_declared(name: str) -> None:
    profile = Profile.read(PROFILES[name])
    assert set(profile.places) <= {entity.name for entity in OneC.capabilities.entities}
    assert {"counterparty", "product", "invoice", "realization", "payment", "balance"} <= set(profile.places)
    assert ("order" in profile.places) == (name != "accounting_3")


def test_a_profile_may_be_like_another_with_a_set_or_two_of_its_own() -> None:
    own = Profile.read({"like": "accounting_3", "sets": {"invoice": "Document_НашСчет"}, "probe": ""})
    assert (own.places["invoice"].set, own.probe) == ("Document_НашСчет", "")
    assert own.places["realization"].set == "Document_РеализацияТоваровУслуг"


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({"profile": "erp"}, "no 1C profile 'erp'; there are accounting_3, trade_11, small_firm"),
        ({"profile": {"like": "erp"}}, "no 1C profile 'erp'"),
        ({"closed_period": "дата ("}, "closed_period is no regular expression"),
        ({"profile": {"like": "accounting_3", "named": {"СтавкаНДС": "vat_rate"}}}, "speaks of vat_rate"),
    ],
)
def test_a_wrong_profile_is_told_when_the_connection_is_opened(connection: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said.replace("(", r"\(")):
        connect(
            "onec", {"url": ROOT, "user": "u", "password": "p", "timezone": "Europe/Moscow", **connection}
        )


def test_only_what_the_mapping_names_is_asked_for_and_checked() -> None:
    town = Base("accounting_3", Catalog_Контрагенты=[{"Ref_Key": KEY, "DataVersion": "a"}])
    town.onec.fields_read = {"counterparty": ["ИНН"], "entry": ["Сумма"]}
    town.onec.fields_written = {"counterparty": ["Description"]}
    assert [change.source_id for change in town.onec.changes(DAY)] == [KEY]
    assert {resource for resource, _ in town.read} == {"Catalog_Контрагенты"}
    assert {place.entity for place in town.onec.places_in_use()} == {"counterparty", "entry"}


@pytest.mark.parametrize(
    ("profile", "entity", "said"),
    [
        ("accounting_3", "balance", "AccountCondition='Account/Code eq ''62.01'' or"),
        ("accounting_3", "stock", "AccountCondition='Account/Code eq ''10'' or"),
        ("trade_11", "balance", "Dimensions='АналитикаУчетаПоПартнерам,Валюта')"),
        ("small_firm", "balance", "Dimensions='Организация,Контрагент,ТипРасчетов')"),
        (
            "trade_11",
            "free_stock",
            "СвободныеОстатки/Balance(Period=datetime'2026-02-11T00:00:00',Dimensions='Номенклатура",
        ),
    ],
)
def test_balances_are_asked_for_at_the_end_of_the_day_by_what_they_are_added_up_to(
    profile: str, entity: str, said: str
) -> None:
    town = Base(profile)
    [page] = town.onec.read([entity], None, LATER)
    assert page.complete
    [(resource, _)] = town.read
    assert said in resource
    assert "2026-02-11T00:00:00" in resource


def test_rows_of_a_settlement_register_are_named_by_their_dimensions() -> None:
    town = Base("small_firm")
    row = {
        "Контрагент_Key": KEY,
        "ТипРасчетов": "Долг",
        "Заказ": OTHER,
        "Заказ_Type": "X",
        "СуммаBalance": 5.5,
    }
    town.handle = lambda request: answer([row, {**row, "ТипРасчетов": "Аванс"}])  # type: ignore[method-assign]
    onec = base(lambda request: town.handle(request))
    onec.profile = town.onec.profile
    [page] = onec.read(["balance"], None, LATER)
    assert [record.source_id for record in page.records] == [f"{OTHER}:{KEY}:Долг", f"{OTHER}:{KEY}:Аванс"]


# ---- VAT rates: a word, or the key of a catalog -------------------------------------------------


def rated(*, as_key: bool) -> Base:
    town = Base(
        "trade_11",
        Catalog_СтавкиНДС=[
            {"Ref_Key": RATE, "Description": "22%"},
            {"Ref_Key": key_of(1), "Description": "Без НДС"},
            {"Ref_Key": key_of(2), "Description": "НДС 10 %", "DeletionMark": True},
        ],
    )
    field = "Товары/СтавкаНДС_Key" if as_key else "Товары/СтавкаНДС"
    town.fields = {"Document_РеализацияТоваровУслуг": ["Ref_Key", "Комментарий", field]}
    return town


@pytest.mark.parametrize(("word", "key"), [("НДС22", RATE), ("22%", RATE), ("БезНДС", key_of(1))])
def test_a_rate_goes_out_as_the_key_where_the_base_keeps_keys_and_is_shown_as_the_word(
    word: str, key: str
) -> None:
    town = rated(as_key=True)
    town.onec.create("realization", KEY, {"Комментарий": "x", "Товары": [{"СтавкаНДС": word}]})
    [(_, _, body)] = town.sent
    assert body["Товары"] == [{"СтавкаНДС_Key": key}]
    [held] = town.onec.find("realization", [KEY]).values()
    assert held["Товары"] == [{"СтавкаНДС_Key": key, "СтавкаНДС": word}]


def test_a_rate_goes_out_as_the_word_where_the_base_keeps_an_enum() -> None:
    town = rated(as_key=False)
    town.onec.create("realization", KEY, {"Товары": [{"СтавкаНДС": "НДС22"}]})
    assert town.sent[0][2]["Товары"] == [{"СтавкаНДС": "НДС22"}]


def test_a_rate_that_the_catalog_lacks_is_refused_before_anything_is_sent() -> None:
    town = rated(as_key=True)
    with pytest.raises(Refused, match=r"no 'НДС10'; it has 22%, Без НДС") as caught:
        town.onec.create("realization", KEY, {"Товары": [{"СтавкаНДС": "НДС10"}]})
    assert (caught.value.code, town.sent) == ("unknown_name", [])


def test_names_of_rates_mean_the_same_however_they_are_written() -> None:
    assert {meaning(name) for name in ("НДС22", "22%", "НДС 22 %")} == {"22"}
    assert meaning("НДС22_122") == meaning("22/122%") == "22/122"
    assert meaning("Без НДС") == meaning("БезНДС")


# ---- partners ---------------------------------------------------------------------------------


def test_a_counterparty_is_created_with_its_partner_and_a_repeat_meets_the_same_one() -> None:
    town = Base("trade_11")
    partner = partner_key(KEY)
    town.onec.create("counterparty", KEY, {"Description": "Ромашка ООО", "ИНН": "7707083893"})
    town.outcomes = [
        refusal(400, "15", "Сущность с таким ключом уже существует"),
        httpx.Response(201, json={}),
    ]
    town.onec.create("counterparty", KEY, {"Description": "Ромашка ООО"})
    assert [resource for _, resource, _ in town.sent] == ["Catalog_Партнеры", "Catalog_Контрагенты"] * 2
    assert town.sent[0][2] == {"Description": "Ромашка ООО", "Клиент": True, "Ref_Key": partner}
    assert {body["Партнер_Key"] for _, resource, body in town.sent if resource.endswith("Контрагенты")} == {
        partner
    }


def test_a_document_names_the_partner_of_its_counterparty_which_is_looked_up_once() -> None:
    town = Base("trade_11", Catalog_Контрагенты=[{"Ref_Key": OTHER, "Партнер_Key": PARTNER}])
    town.fields = {"Document_ЗаказКлиента": ["Ref_Key"]}
    for number in (1, 2):
        town.onec.create("order", key_of(number), {"Контрагент_Key": OTHER})
    assert [body["Партнер_Key"] for _, _, body in town.sent] == [PARTNER, PARTNER]
    assert [resource for resource, _ in town.read] == ["Catalog_Контрагенты"]


def test_a_counterparty_without_a_partner_refuses_its_documents_in_words() -> None:
    town = Base("trade_11", Catalog_Контрагенты=[{"Ref_Key": OTHER, "Description": "Ромашка ООО"}])
    with pytest.raises(Refused, match="Ромашка ООО of this order has no partner") as caught:
        town.onec.create("order", KEY, {"Контрагент_Key": OTHER})
    assert (caught.value.code, town.sent) == ("no_partner", [])


# ---- keys of the base's own ---------------------------------------------------------------------


def test_a_base_that_makes_its_own_keys_is_written_to_once_and_what_it_made_is_marked() -> None:
    town = Base("accounting_3")
    town.outcomes = [httpx.Response(201, json={"Ref_Key": OTHER}), httpx.Response(200)]
    with pytest.raises(Refused, match="another key") as caught:
        town.onec.create("realization", KEY, {})
    assert caught.value.code == "foreign_key"
    assert "marked for deletion" in str(caught.value)
    with pytest.raises(Refused, match="nothing more is created") as caught:
        town.onec.create("invoice", key_of(1), {})
    assert caught.value.code == "foreign_key"
    assert [(method, body) for method, _, body in town.sent] == [
        ("POST", {"Ref_Key": KEY}),
        ("PATCH", {"DeletionMark": True}),
    ]


def test_what_could_not_be_marked_is_told_with_its_link() -> None:
    town = Base("accounting_3")
    town.outcomes = [httpx.Response(201, json={"Ref_Key": OTHER}), refusal(500, "-1", "Нет прав")]
    with pytest.raises(Refused, match="Нет прав") as caught:
        town.onec.create("realization", KEY, {})
    assert link("Document_РеализацияТоваровУслуг", OTHER) in str(caught.value)


def test_the_answer_to_another_request_marks_nothing_and_lets_ours_be_looked_up() -> None:
    town = Base("accounting_3")
    town.onec.create("realization", KEY, {"Комментарий": "crm:bitrix24:1"})
    town.outcomes = [httpx.Response(201, json={"Ref_Key": KEY})]  # once more, by a proxy
    with pytest.raises(Uncertain, match="answered with another record"):
        town.onec.create("realization", OTHER, {"Комментарий": "crm:bitrix24:2"})
    assert town.onec.find("realization", [OTHER]) == {}
    town.onec.create("realization", OTHER, {"Комментарий": "crm:bitrix24:2"})
    assert {method for method, _, _ in town.sent} == {"POST"}


def test_a_strange_answer_of_a_base_that_nobody_has_written_to_yet_is_doubted_once() -> None:
    town = Base("accounting_3")
    town.outcomes = [httpx.Response(201, json={"Ref_Key": OTHER, "Комментарий": "theirs"})] * 2
    with pytest.raises(Uncertain, match="answered with another record"):
        town.onec.create("realization", KEY, {"Комментарий": "ours"})
    with pytest.raises(Refused, match="not marked for deletion: see whose it is") as caught:
        town.onec.create("realization", KEY, {"Комментарий": "ours"})
    assert caught.value.code == "foreign_key"
    assert {method for method, _, _ in town.sent} == {"POST"}


# ---- refusals name the document -----------------------------------------------------------------

UNFILLED = "Не удалось провести: в строке 2 не заполнен «Счет доходов»"


@pytest.mark.parametrize("act", ["post", "unpost", "update"])
def test_a_refusal_says_which_document_in_accountings_own_words_and_how_to_open_it(act: str) -> None:
    document = {"Ref_Key": OTHER, "Number": "0000-000007 ", "Date": "2026-02-10T12:00:00"}
    town = Base("accounting_3", Document_РеализацияТоваровУслуг=[document])
    town.outcomes = [refusal(500, "-1", UNFILLED)]
    with pytest.raises(Refused) as caught:
        getattr(town.onec, act)("realization", OTHER, *([{}] if act == "update" else []))
    told = str(caught.value)
    assert UNFILLED in told
    assert "№ 0000-000007 of 2026-02-10" in told
    assert "e1cib/data/Документ.РеализацияТоваровУслуг?ref=ad72000c29b45b0911ec63328b9660f6" in told
    assert caught.value.code == "-1"


def test_a_document_that_somebody_changed_is_a_conflict_with_its_link() -> None:
    town = Base("accounting_3")
    town.outcomes = [httpx.Response(412)]
    with pytest.raises(Conflict, match=r"changed meanwhile.* e1cib/data/Документ"):
        town.onec.update("realization", KEY, {}, version="AAA=")


def test_the_words_of_a_closed_period_may_be_the_connections_own() -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        return refusal(500, "-1", "Месяц сдан главбуху")

    onec = base(refuses)
    onec.session._closed_period = "сдан главбуху"
    with pytest.raises(Refused) as caught:
        onec.post("realization", KEY)
    assert caught.value.code == "closed_period"


# ---- records by key -----------------------------------------------------------------------------


def test_documents_are_read_by_key_with_their_entries_before_them_and_the_gone_as_tombstones() -> None:
    requests: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        requests.append(resource)
        if resource.startswith("AccountingRegister"):
            return answer([{"Recorder": KEY, "LineNumber": "1", "Сумма": 5.5}] if KEY in str(options) else [])
        return answer([{"Ref_Key": KEY, "DataVersion": "b"}])

    entries, documents, gone = base(handler).read_keys("realization", [KEY, OTHER, KEY])
    assert (entries.entity, list(entries.complete_parents)) == ("entry", [KEY, OTHER])
    assert [record.source_id for record in entries.records] == [f"{KEY}:1"]
    assert [record.source_id for record in documents.records] == [KEY]
    assert [(record.source_id, record.deleted) for record in gone.records] == [(OTHER, True)]
    assert len(requests) == 2
    assert list(base(handler).read_keys("balance", ["x"])) == []


# ---- what a check says --------------------------------------------------------------------------


def checked(town: Base) -> dict[str, Any]:
    def handler(request: httpx.Request) -> httpx.Response:
        if asked(request)[0] == "":
            return httpx.Response(200, json={"value": [{"name": name} for name in town.fields]})
        return town.handle(request)

    onec = base(handler, probe_writes=False)
    onec.profile, onec.mapping_file = town.onec.profile, "onec.yaml"
    onec.fields_read, onec.fields_written = town.onec.fields_read, town.onec.fields_written
    return {finding.subject: finding for finding in onec.check()}


def test_a_check_names_written_fields_that_are_missing_and_forgives_what_is_only_read() -> None:
    town = Base("accounting_3")
    town.fields = {
        "Document_РеализацияТоваровУслуг": ["Ref_Key", "Date", "Товары/Цена", "Товары/СтавкаНДС_Key"],
        "Catalog_Контрагенты": ["Description"],
    }
    town.onec.fields_read = {"counterparty": ["Description", "НалоговыйНомер"]}
    town.onec.fields_written = {"realization": ["Date", "Товары", "Товары/Цена", "Товары/СтавкаНДС"]}
    found = checked(town)
    assert "warehouse" not in found  # nobody reads it
    assert found["counterparty fields"].ok
    assert "НалоговыйНомер" in found["counterparty fields"].message
    assert not found["realization fields"].ok
    assert "has no Товары/СтавкаНДС" in found["realization fields"].message
    assert "named: {СтавкаНДС: vat_rate}" in found["realization fields"].remedy


def test_a_rate_that_is_kept_as_a_key_is_no_missing_field_of_a_profile_that_knows_it() -> None:
    town = rated(as_key=True)
    town.onec.fields_written = {"realization": ["Комментарий", "Товары", "Товары/СтавкаНДС"]}
    assert checked(town)["realization fields"].ok
