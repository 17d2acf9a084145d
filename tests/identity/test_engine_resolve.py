"""Whole answers on few records: what joins by itself, what is asked about, and what never joins."""

from __future__ import annotations

from random import Random
from typing import Any

import pyarrow as pa
import pytest

from pipelines.identity.candidates import all_pairs, fan_out
from pipelines.identity.features import derive
from pipelines.identity.resolve import Resolved, resolve
from pipelines.identity.rules import explained, judge
from pipelines.identity.score import score
from tests.identity.profiles import profiles

WORDS = [
    "Заря",
    "Весна",
    "Лето",
    "Осень",
    "Зима",
    "Роза",
    "Клён",
    "Дуб",
    "Ясень",
    "Берёза",
    "Сосна",
    "Тополь",
]
RECORDS = 60
INN, OTHER, PERSONAL = "7707083893", "7736050003", "500100732259"


def found(*clients: dict[str, Any]) -> Resolved:
    return resolve(profiles(*clients))


def groups(*clients: dict[str, Any]) -> int:
    return len(set(found(*clients).labels))


def judged(*clients: dict[str, Any]) -> dict[str, Any]:
    """What is known of the only pair."""
    features = derive(profiles(*clients))
    rows = judge(score(features, all_pairs(features), fan_out(features))).to_pylist()
    assert len(rows) == 1
    return dict(rows[0])


def test_one_valid_tax_number_is_one_client_and_branches_are_of_it() -> None:
    one = {"name": "Ромашка", "tax_numbers": INN, "kpps": "773601001"}
    renamed = judged(one, one | {"name": "Василёк"})
    assert (renamed["rule"], renamed["outcome"]) == ("inn_kpp", "same")
    for other in ({"kpps": ""}, {"kpps": "540243001"}):
        pair = judged(one, one | other)
        assert (pair["rule"], pair["outcome"]) == ("inn", "same")


def test_a_number_alone_under_another_name_may_be_a_slip_and_is_asked_about() -> None:
    one = {"name": "Ромашка", "tax_numbers": INN}
    assert judged(one, {"name": "Василёк", "tax_numbers": INN})["outcome"] == "ask"
    phone = {"phones": "+74951234507"}
    assert judged(one | phone, {"name": "Василёк", "tax_numbers": INN} | phone)["outcome"] == "same"


def test_the_kpp_of_another_number_of_a_record_is_not_this_numbers() -> None:
    two = {"name": "ООО Ромашка", "tax_numbers": [INN, OTHER], "kpps": ["770701001", "773601001"]}
    lotus = {"name": "ООО Лютик", "tax_numbers": INN}
    pair = judged(two, lotus | {"kpps": "773601001"})
    assert (pair["rule"], pair["outcome"]) == ("inn", "ask")
    assert pair["kpp"] == "the KPP of another number"
    own = judged(two, lotus | {"kpps": "770701001"})
    assert (own["rule"], own["outcome"]) == ("inn_kpp", "same")


def test_a_number_and_its_kpp_join_exactly_those_who_give_them_together() -> None:
    """Records of up to three numbers, each with one of three KPPs or none; every pair is judged."""
    random = Random(14)
    kpps = ("770701001", "773601001", "540243001", "")
    clients = [
        [
            (number, random.choice(kpps))
            for number in random.sample((INN, OTHER, PERSONAL), random.randint(1, 3))
        ]
        for _ in range(200)
    ]
    features = derive(
        profiles(
            *(
                {"id": f"r{place:03}", "tax_numbers": [n for n, _ in given], "kpps": [k for _, k in given]}
                for place, given in enumerate(clients)
            )
        )
    )
    pairs = [(f"r{one:03}", f"r{other:03}") for one in range(RECORDS) for other in range(one + 1, RECORDS)]
    told = pa.table({"left_id": [left for left, _ in pairs], "right_id": [right for _, right in pairs]})
    rare = fan_out(features.slice(0, 0))
    for row in judge(score(features, told, rare)).to_pylist():
        one, other = (clients[int(row[side][1:])] for side in ("left_id", "right_id"))
        shared = {(number, kpp) for number, kpp in one if kpp} & set(other)
        assert row["rule"] == ("inn_kpp" if shared else "inn"), (one, other)


def test_a_number_of_many_different_names_joins_nothing_by_itself() -> None:
    held = [{"name": f"ООО {word}", "tax_numbers": INN, "kpps": "773601001"} for word in WORDS]
    assert groups(*held) == len(held)
    phone = {"phones": "+74951234507"}
    assert groups(*held[1:], held[0] | phone, {"name": "Заря", "tax_numbers": INN} | phone) == len(held)
    assert groups(*held[:4]) == 1


def test_different_tax_numbers_are_never_one_client_whatever_else_agrees() -> None:
    one = {
        "name": "ООО Ромашка",
        "phones": "+74951234507",
        "emails": "info@romashka.ru",
        "contact_names": "Петров Иван Сергеевич",
        "city": "Казань",
    }
    answer = found(one | {"tax_numbers": INN}, one | {"tax_numbers": OTHER})
    assert len(set(answer.labels)) == 2
    assert answer.questions() == []


def test_name_phone_and_mail_join_and_so_they_do_in_latin_letters() -> None:
    one = {"name": "ООО Ромашка", "phones": "+74951234507", "emails": "info@romashka.ru"}
    assert groups(one, one) == 1
    assert groups(one, one | {"name": "Romashka LLC"}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "Иван"}, {"name": "Иван"}),
        ({"name": "ООО Вымпел", "city": "Москва"}, {"name": "Вымпел", "city": "Самара"}),
        ({"name": "ИП Петров И.И."}, {"name": "Петров Иван Иванович"}),
    ],
)
def test_stand_ins_for_phone_and_mail_join_nobody(one: dict[str, Any], other: dict[str, Any]) -> None:
    own = {"phones": "+79161234501", "emails": "vympel@mail.ru"}
    assert groups(one | own, other | own) == 1
    typed = {"phones": "+79123456789", "emails": "mail@mail.ru"}
    plain = [(row["weight"], row["outcome"]) for row in found(one, other).pairs.to_pylist()]
    answer = found(one | typed, other | typed)
    assert [(row["weight"], row["outcome"]) for row in answer.pairs.to_pylist()] == plain
    assert len(set(answer.labels)) == 2


def test_a_name_with_a_word_more_is_another_client_but_for_a_person() -> None:
    one = {"name": "ООО Твин", "phones": "+74951234507", "emails": "info@tvin.ru", "city": "Казань"}
    sister = one | {"name": "ООО Твин Сервис"}
    assert groups(one, sister) == 2
    assert judged(one, sister)["name"] == "words of the other and more"
    contact = {"contact_names": "Петров Иван Сергеевич", "kpps": "773601001", "address": "Ленина, 1"}
    assert judged(one | contact, sister | contact)["outcome"] == "ask"


def test_an_address_that_many_share_joins_no_names_that_only_look_alike() -> None:
    place = {"address": "г. Казань, ул. Баумана, д. 5"}
    one, other = place | {"name": "ООО Вымпел"}, {"name": "Вымпал", "address": "Казань, Баумана 5, оф. 3"}
    assert groups(one, other) == 1
    neighbours = [place | {"name": f"ООО {word}"} for word in WORDS]
    answer = found(one, other, *neighbours)
    assert len(set(answer.labels)) == len(neighbours) + 2
    assert [(left, right) for left, right, _ in answer.questions()] == [("r0", "r1")]


def test_a_sole_trader_is_not_his_company() -> None:
    shared = {"phones": "+79161234507", "emails": "petrov@mail.ru", "city": "Казань"}
    trader = shared | {"name": "ИП Петров Иван Сергеевич", "tax_numbers": PERSONAL}
    assert groups(trader, shared | {"name": "ООО Петров", "contact_names": "Петров Иван Сергеевич"}) == 2


SHARED = {"phones": "+79161234501", "emails": "buh@firma-x.ru", "city": "Казань"}


@pytest.mark.parametrize(
    ("one", "between", "other"),
    [
        ("ООО Ромашка", "Заявка с сайта", "ООО Лютик"),
        ("Иванов Илья Игоревич", "Иванов И.И.", "Иванов Иван Иванович"),
        ("Иванов Иван Петрович", "Иванов Иван", "Иванов Иван Сергеевич"),
        ("ИП Ромашка", "Ромашка", "ООО Ромашка"),
        ("ООО Северный торговый союз", "СТС", "ООО Столичная транспортная служба"),
    ],
)
def test_what_never_joins_does_not_join_by_a_third_either(one: str, between: str, other: str) -> None:
    """The third says too little to be neither; it comes to one of the two, and the other is asked about."""
    assert len(set(found({"name": one} | SHARED, {"name": other} | SHARED).labels)) == 2
    answer = found(*({"name": name} | SHARED for name in (one, between, other)))
    assert answer.labels[0] != answer.labels[2]
    assert answer.labels[1] in (answer.labels[0], answer.labels[2])
    assert len(answer.questions()) == 1


def test_a_number_that_is_asked_about_joins_nobody_by_a_card_without_a_name() -> None:
    answer = found(*({"name": name, "tax_numbers": INN} for name in ("Ромашка", None, "Василёк")))
    assert answer.labels[0] != answer.labels[2]
    assert len(answer.questions()) == 1


def test_two_abbreviations_of_different_names_join_no_names() -> None:
    names = ("ООО Северный торговый союз", "СТС", "СТС", "ООО Столичная транспортная служба")
    labels = found(*({"name": name} | SHARED for name in names)).labels
    assert labels[0] != labels[3]


def test_what_says_no_name_joins_records_of_one_name() -> None:
    labels = found(
        {"name": "Ромашка"} | SHARED, {"name": "тест"} | SHARED, {"name": "ООО Ромашка"} | SHARED
    ).labels
    assert len(set(labels)) == 1


def test_persons_are_one_by_phone_and_mail_together_and_not_by_one_of_them() -> None:
    one = {"name": "Петров Иван Сергеевич"}
    both = {"phones": "+79161234507", "emails": "petrov@mail.ru"}
    pair = judged(one | both, one | both | {"name": "Петров Иван Сергеевич ИП"})
    assert (pair["rule"], pair["outcome"]) == ("phone_and_email", "same")
    wife = both | {"name": "Петрова Ольга Ивановна"}
    assert groups(one | both, wife) == 2
    alone = judged(one | {"phones": "+79161234507"}, one | {"phones": "+79161234507"})
    assert alone["rule"] is None


@pytest.mark.parametrize(
    "stand_in",
    [
        {"name": "тест тест"},
        {"name": "Частное лицо", "phones": "+79990000000"},
        {"emails": "noreply@mail.ru"},
        {"tax_numbers": "1234567894", "name": "Клиент"},
    ],
)
def test_stand_ins_join_nobody(stand_in: dict[str, Any]) -> None:
    assert groups(*[stand_in] * 4) == 4


def test_a_mailbox_of_many_joins_nobody() -> None:
    assert groups(*[{"name": f"ООО {word}", "emails": "info@mail.ru"} for word in WORDS]) == len(WORDS)


def test_the_weight_of_a_pair_hangs_on_the_two_records_and_on_how_many_share_their_values() -> None:
    one = {"name": "ООО Ромашка", "phones": "+74951234507", "city": "Казань"}
    two = one | {"name": "Ромашка"}
    others = [{"name": f"ООО Лютик {number}", "phones": f"+7495{number:07d}"} for number in range(30)]
    alone, among = derive(profiles(one, two)), derive(profiles(one, two, *others))
    pair = pa.table({"left_id": ["r0"], "right_id": ["r1"]})
    assert score(alone, pair, fan_out(alone)).to_pylist() == score(among, pair, fan_out(among)).to_pylist()
    crowd = derive(profiles(one, two, *[{"name": f"Лютик {n}", "phones": one["phones"]} for n in range(9)]))
    shared = score(crowd, pair, fan_out(crowd)).to_pylist()[0]
    assert shared["weight"] < score(alone, pair, fan_out(alone)).to_pylist()[0]["weight"]
    assert shared["phone"] == "one phone, of 100"


def test_a_pair_says_why() -> None:
    one = {"name": "ООО Ромашка", "phones": "+74951234507"}
    features = derive(profiles(one, one))
    table = judge(score(features, all_pairs(features), fan_out(features)))
    assert '"phone": {"label": "one phone, of 3 records", "weight": ' in explained(table)[0]


def test_nobody_and_one_record_are_answers_too() -> None:
    assert resolve(profiles()).labels == []
    assert found({"name": "ООО Ромашка"}).labels == ["r0"]
