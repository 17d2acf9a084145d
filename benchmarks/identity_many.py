"""Client records in any number, made from word lists, with their truth: for time and memory, by whole columns.

The shape is that of `identity_cards`, names and numbers are made up, some 15 % of the records are further ones of a
client that has one already. Values are made clean (the columns that cleaning would give), and their keys are written
as `legal_name_key` would write them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

DUPLICATES: Final = 0.15
LATIN: Final = 0.12  # of the clients have a Latin name
NO_INN: Final = 0.35  # of the records
NO_KPP: Final = 0.60
NO_PHONE: Final = 0.20
NO_EMAIL: Final = 0.40
NO_CITY: Final = 0.35
NO_CONTACT: Final = 0.40
NO_ADDRESS: Final = 0.60
TYPOS: Final = 0.12  # of the further records of a client have a slip in the name
OTHER_PHONE: Final = 0.35  # ... another phone
OTHER_EMAIL: Final = 0.30
SWITCHBOARD: Final = 0.03  # of the clients sit behind one of a two hundredth as many switchboards
BOOKKEEPER: Final = 0.03  # have the e-mail of one of a five hundredth as many bookkeepers

STARTS: Final = (
    "Строй Пром Тех Агро Авто Энерго Гео Мега Транс Мет Лес Хим Эко Сиб Урал Дон Нева Арт Био Гидро Дом Евро Ин Ком "
    "Логи Марк Норд Опт Рус Сев Спец Теле Терм Уни Форт Центр Электро Юг Яр Альфа Бета Вектор"
).split()
ENDS: Final = (
    "сервис инвест комплект торг монтаж снаб проект ресурс маш групп альянс стандарт контракт импорт сбыт трейд "
    "холдинг систем прибор деталь кран мост лайн плюс софт медиа эксперт актив капитал профиль бетон сталь"
).split()
SECONDS: Final = (
    "Восток Запад Плюс Север Юг Центр Регион Сервис Волга Кама Ока Иртыш Енисей Амур Байкал Алтай Кавказ Балтика "
    "Полюс Меридиан Горизонт Старт Прогресс Лидер Сфера Орбита Атлант Феникс Гранит Кедр Сокол Беркут Рубин Топаз"
).split()
LATIN_STARTS: Final = (
    "Nova Inter Euro Global Smart Prime Blue Red Silver North Terra Aqua Digi Net Alfa Omni".split()
)
LATIN_ENDS: Final = "tech soft trade build line group lab trans media store data motion works point".split()
CITIES: Final = (
    "Москва Санкт-Петербург Казань Самара Уфа Омск Пермь Тюмень Тула Воронеж Томск Сочи Иркутск Рязань Пенза Киров "
    "Калуга Чита Курск Тверь"
).split()
STREETS: Final = (
    "Ленина Мира Советская Гагарина Кирова Пушкина Садовая Лесная Школьная Новая Победы Заводская Строителей Чапаева"
).split()
SURNAMES: Final = (
    "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов".split()
)
NAMES: Final = "Иван Сергей Андрей Олег Павел Денис Роман Виктор Егор Глеб Илья Марк".split()
SOURCES: Final = ("bitrix24", "amocrm", "megaplan", "onec")
DOMAINS: Final = ("mail.ru", "yandex.ru", "gmail.com", "list.ru")
INN_WEIGHTS: Final = np.array([2, 4, 10, 3, 5, 9, 4, 6, 8], dtype=np.int64)
STRIDE: Final = (
    899_809_363  # has no divisor in common with BODIES, so that no nine digits of an INN come twice
)
LOWEST_BODY: Final = 10_000_000  # region 01 and up
BODIES: Final = 1_000_000_000 - LOWEST_BODY
PHONES: Final = 1_000_000_000

Numbers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]


def many(records: int, seed: int) -> tuple[pa.Table, Numbers]:
    """So many client records in a shuffled order, and the number of the client that each is of."""
    random = np.random.default_rng(seed)
    clients = max(1, round(records * (1 - DUPLICATES)))
    owner = np.concatenate([np.arange(clients), random.integers(0, clients, records - clients)])
    again = np.arange(records) >= clients
    order = random.permutation(records)
    owner, again = owner[order], again[order]

    plain, key, form = _names(random, clients)
    slips = again & (random.random(records) < TYPOS)
    names, keys = plain[owner], key[owner]
    names[slips], keys[slips] = _slipped(random, names[slips], keys[slips])

    inn = _inns(clients)[owner]
    phones = _phones(random, clients)[owner]
    other = again & (random.random(records) < OTHER_PHONE)
    phones = np.where(other, random.integers(0, PHONES, records), phones)
    mail = _mailboxes(random, clients)[owner]
    mail = np.where(again & (random.random(records) < OTHER_EMAIL), PHONES + np.arange(records), mail)

    name_column = _with_form(random, names, form[owner])
    inn_column = _digits(inn, 10, random.random(records) >= NO_INN)
    kpp = pc.binary_join_element_wise(pc.utf8_slice_codeunits(_digits(inn, 10), 0, 4), pa.scalar("01001"), "")
    login = pc.cast(pa.array(mail), pa.string())
    domain = _picked(DOMAINS, mail % len(DOMAINS))
    days = np.datetime64("2023-01-01") + random.integers(0, 1_000, records).astype("timedelta64[D]")
    table = pa.table(
        {
            "record_id": pc.binary_join_element_wise(pa.scalar("r"), _digits(np.arange(records), 8), ""),
            "kind": pa.array(np.full(records, "company")),
            "name": name_column,
            "name_key": pa.array(keys),
            "tax_number": inn_column,
            "tax_number_given": inn_column,
            "kpp": _masked(kpp, random.random(records) >= NO_KPP),
            "phone": _masked(
                pc.binary_join_element_wise(pa.scalar("+79"), _digits(phones, 9), ""),
                random.random(records) >= NO_PHONE,
            ),
            "email": _masked(
                pc.binary_join_element_wise(
                    pc.binary_join_element_wise(pa.scalar("c"), login, ""), domain, "@"
                ),
                random.random(records) >= NO_EMAIL,
            ),
            "city": _masked(_picked(CITIES, owner * 7 % 97 % len(CITIES)), random.random(records) >= NO_CITY),
            "address": _addresses(np.random.default_rng([seed, 1]), owner),
            "contact_name": _masked(
                pc.binary_join_element_wise(
                    _picked(NAMES, owner // 11 % len(NAMES)), _picked(SURNAMES, owner % len(SURNAMES)), " "
                ),
                random.random(records) >= NO_CONTACT,
            ),
            "source": _picked(SOURCES, random.integers(0, len(SOURCES), records)),
            "created_at": pa.array(days.astype(str)),
        }
    )
    return table, owner.astype(np.int64)


def _names(random: np.random.Generator, clients: int) -> tuple[Texts, Texts, Texts]:
    """Name, its key and its legal form. Short words in few lists: many clients share a name, as in life."""
    first = _zipf(random, STARTS, clients)
    stem = np.char.add(first, random.choice(ENDS, clients))
    latin = random.random(clients) < LATIN
    foreign = np.char.add(random.choice(LATIN_STARTS, clients), random.choice(LATIN_ENDS, clients))
    stem = np.where(latin, foreign, stem)
    second = np.where(random.random(clients) < 0.75, np.char.add(" ", random.choice(SECONDS, clients)), "")
    second = np.where(latin, "", second)
    number = np.char.add(" ", random.integers(1, 1_000, clients).astype(str))
    third = np.where(random.random(clients) < 0.45, number, "")
    name = np.char.add(np.char.add(stem, second), third)
    form = np.where(latin, "LLC", random.choice(["ООО", "ООО", "ООО", "ООО", "АО", "ЗАО"], clients))
    return name, np.char.lower(name), form


def _zipf(random: np.random.Generator, words: list[str], count: int) -> Texts:
    shares = 1 / np.arange(1, len(words) + 1)
    return random.choice(words, count, p=shares / shares.sum())


def _slipped(random: np.random.Generator, names: Texts, keys: Texts) -> tuple[Texts, Texts]:
    """Two neighbouring letters of the first word swapped, in the name and its key alike."""
    at = random.integers(1, 4, len(names))
    return _swapped(names, at), _swapped(keys, at)


def _swapped(texts: Texts, at: Numbers) -> Texts:
    if not len(texts):
        return texts
    width = texts.dtype.itemsize // 4
    letters = np.ascontiguousarray(texts).view(np.uint32).reshape(len(texts), width).copy()
    rows = np.arange(len(texts))
    letters[rows, at], letters[rows, at + 1] = letters[rows, at + 1].copy(), letters[rows, at].copy()
    return letters.view(texts.dtype).reshape(-1)


def _with_form(random: np.random.Generator, names: Texts, forms: Texts) -> pa.Array:
    """Before the name with quotes or without, after it, or left out; each by a quarter or so."""
    how = random.choice(4, len(names), p=[0.4, 0.2, 0.2, 0.2])
    name, form = pa.array(names), pa.array(forms)
    quoted = pc.binary_join_element_wise(
        form, pc.binary_join_element_wise(pa.scalar(""), name, pa.scalar(""), '"'), " "
    )
    return pc.choose(
        pa.array(how),
        quoted,
        pc.binary_join_element_wise(form, name, " "),
        pc.binary_join_element_wise(name, form, " "),
        name,
    )


def _addresses(random: np.random.Generator, owner: Numbers) -> pa.Array:
    """Street and house of the client, in one of two spellings, of every 7,000 or so clients one and the same."""
    street = _picked(STREETS, owner % len(STREETS))
    house = pc.cast(pa.array(owner * 37 % 7_001 // len(STREETS) + 1), pa.string())
    full = pc.binary_join_element_wise(pa.scalar("ул."), street, pa.scalar("д."), house, " ")
    short = pc.binary_join_element_wise(street, house, " ")
    written = pc.if_else(pa.array(random.random(len(owner)) < 0.5), full, short)
    return _masked(written, random.random(len(owner)) >= NO_ADDRESS)


def _inns(clients: int) -> Numbers:
    """Valid INNs of ten digits, no two alike; the check digit as the tax service reckons it."""
    body = LOWEST_BODY + np.arange(clients, dtype=np.int64) * STRIDE % BODIES
    digits = body[:, None] // 10 ** np.arange(8, -1, -1, dtype=np.int64) % 10
    check: Numbers = (digits * INN_WEIGHTS).sum(axis=1) % 11 % 10
    return body * 10 + check


def _phones(random: np.random.Generator, clients: int) -> Numbers:
    own = random.integers(0, PHONES, clients)
    shared = random.integers(0, max(1, clients // 200), clients) * 7_919
    return np.where(random.random(clients) < SWITCHBOARD, shared, own)


def _mailboxes(random: np.random.Generator, clients: int) -> Numbers:
    shared = 2 * PHONES + random.integers(0, max(1, clients // 500), clients)
    return np.where(random.random(clients) < BOOKKEEPER, shared, np.arange(clients))


def _digits(numbers: Numbers, width: int, there: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    texts = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")
    return texts if there is None else _masked(texts, there)


def _masked(texts: pa.Array, there: npt.NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(there), texts, pa.scalar(None, pa.string()))


def _picked(words: tuple[str, ...] | list[str], which: Numbers) -> pa.Array:
    return pc.take(pa.array(list(words)), pa.array(which.astype(np.int64)))
