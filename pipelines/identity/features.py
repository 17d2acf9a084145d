"""What the models compare, derived from clean values: a row a record, nothing of it hangs on other records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pipelines.core.cleaning import PLACEHOLDERS
from pipelines.identity.address import NOWHERE
from pipelines.identity.address import taken_apart as place_of
from pipelines.identity.model import StandIns, load
from pipelines.identity.names import NOBODY, Name, Person, city, person, taken_apart
from pipelines.identity.words import FREE_MAIL

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
IN_A_ROW: Final = "012345678901234567890 9876543210987654321"  # typed where there is no number
ROWS: Final = 50_000  # of a profile that are held as Python values at a time
CLIENTS: Final[dict[str, bool]] = {  # column: a list of texts?
    "holder": False,
    "name": False,
    "words": True,
    "initials": False,
    "digits": False,
    "person": False,
    "surname": False,
    "first": False,
    "patronymic": False,
    "first_name": False,
    "patronymic_name": False,
    "tax_numbers": True,
    "wrong_numbers": True,
    "number": False,
    "kpps": True,
    "registrations": True,
    "phones": True,
    "emails": True,
    "domains": True,
    "contacts": True,
    "contacts_short": True,
    "contacts_initials": True,
    "contacts_first": True,
    "contacts_lone": True,
    "town": False,
    "street": False,
    "place": False,
}
PEOPLE: Final[dict[str, bool]] = dict.fromkeys(
    (
        "given_name",
        "surname",
        "date_of_birth",
        "number",
        "email",
        "street_number",
        "address_1",
        "address_2",
        "town",
        "postcode",
        "state",
    ),
    False,
)


def derive(profile: pa.Table, model: str = "clients") -> pa.Table:
    """The features of each record, in the profile's order: `record_id` and the columns CLIENTS or PEOPLE.

    Lists and texts are null where nothing is known, never empty. A profile of clients has the columns of
    `core.client_profile`, its id as `record_id` or `client_record_id`; values are clean (`core.cleaning`).
    A profile of people has the columns of PEOPLE, as they were given; those that it lacks are null.
    Stand-ins (names like "тест", phones and e-mails that the model's `stand_ins` name) are no values.
    """
    import pyarrow as pa

    columns, row = {"clients": (CLIENTS, _client), "people": (PEOPLE, _one_of_people)}[model]
    schema = pa.schema(
        [("record_id", pa.string())]
        + [(name, pa.list_(pa.string()) if many else pa.string()) for name, many in columns.items()]
    )
    stand_ins = load(model).stand_ins
    made = [
        _batch(batch, schema, lambda one: row(one, stand_ins))
        for batch in profile.to_batches(max_chunksize=ROWS)
    ]
    return pa.Table.from_batches(made, schema)


def _batch(batch: pa.RecordBatch, schema: pa.Schema, derived: Callable[[Row], Row]) -> pa.RecordBatch:
    import pyarrow as pa

    names = batch.schema.names
    ids = "record_id" if "record_id" in names else "client_record_id"
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for values in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
        row = dict(zip(names, values, strict=True))
        found = derived(row)
        columns["record_id"].append(row[ids])
        for name in schema.names[1:]:
            columns[name].append(found.get(name) or None)
    return pa.record_batch(
        [pa.array(columns[name], schema.field(name).type) for name in schema.names], schema
    )


# ---- clients -------------------------------------------------------------------------------


def _client(row: Row, stand_ins: StandIns) -> Row:
    numbers = _once(number for number in row["tax_numbers"] or () if number not in PLACEHOLDERS)
    town = city(row["city"]) if row["city"] else None
    place = place_of(row["address"], town) if row["address"] else NOWHERE
    town = town or place.town
    name = taken_apart(row["name"], row["name_key"], town, _holder(numbers, row.get("country")))
    in_name = (number for number in name.numbers if number not in numbers)
    wrong = _once(filter(_number, [*(row["wrong_numbers"] or ()), *in_name]))
    who = _told(name.person, row["contact_names"] or ())
    emails = _once(email for email in row["emails"] or () if not stand_ins.has_email(email))
    return {
        "holder": name.holder,
        "name": name.squashed,
        "words": list(name.words),
        "initials": name.initials,
        "digits": name.digits,
        "person": f"{who.surname} {who.first}" if who.surname and who.first else None,
        "surname": who.surname,
        "first": who.first,
        "patronymic": who.patronymic,
        "first_name": who.first_name,
        "patronymic_name": who.patronymic_name,
        "tax_numbers": numbers,
        "wrong_numbers": wrong,
        "number": next(iter([*numbers, *wrong]), None),
        "kpps": _once(kpp for kpp in row["kpps"] or () if kpp),
        "registrations": _once(_registrations(row)),
        "phones": _once(phone for phone in row["phones"] or () if not stand_ins.has_phone(phone)),
        "emails": emails,
        "domains": _once(domain for email in emails if (domain := email.partition("@")[2]) not in FREE_MAIL),
        **_contacts(row["contact_names"] or (), name),
        "town": town,
        "street": place.street,
        "place": f"{place.street} {town or ''}".strip() if place.street else None,
    }


def _registrations(row: Row) -> Iterator[str]:
    """Numbers with their own KPP: that in the same place of the profile; KPPs beyond the numbers are of none."""
    for number, kpp in zip(row["tax_numbers"] or (), row["kpps"] or (), strict=False):
        if kpp and number not in PLACEHOLDERS:
            yield f"{number} {kpp}"


def _told(who: Person, contacts: Iterable[str]) -> Person:
    """The person with what of the name only the own contact says: patronymics are often left out of one of them."""
    for text in contacts:
        said = person(text)
        if who.surname is None or said.surname != who.surname or said.first != who.first:
            continue
        if who.patronymic and said.patronymic and said.patronymic != who.patronymic:
            continue
        who = replace(
            who,
            patronymic=who.patronymic or said.patronymic,
            first_name=who.first_name or said.first_name,
            patronymic_name=who.patronymic_name or said.patronymic_name,
        )
    return who


def _holder(numbers: Iterable[str], country: str | None) -> str | None:
    """A Russian INN of twelve digits is a person's, one of ten a company's."""
    lengths = {len(number) for number in numbers if number.isdigit()}
    if country not in (None, "", "RU") or len(lengths) != 1:
        return None
    return {12: "person", 10: "company"}.get(lengths.pop())


def _number(digits: str) -> bool:
    """Whether digits may be a number that somebody mistyped: no KPP, nor one or two digits over and over, nor in a row."""
    return (
        9 <= len(digits) <= 12
        and len(set(digits)) > 2
        and digits not in IN_A_ROW
        and not re.fullmatch(r"\d{4}01001", digits)
    )


def _contacts(names: Iterable[str], client: Name) -> dict[str, list[str]]:
    """Parts of the names of those who speak for the client; a person's own name is no second evidence of it."""
    made: dict[str, list[str]] = {name: [] for name in CLIENTS if name.startswith("contacts")}
    for text in names:
        who = person(text)
        if client.person is not NOBODY and who.surname in (None, client.person.surname):
            continue
        if who.surname and who.first:
            made["contacts_short"].append(f"{who.surname} {who.first}")
            if who.patronymic:
                made["contacts"].append(f"{who.surname} {who.first} {who.patronymic}")
        if who.first and who.patronymic:
            made["contacts_initials"].append(f"{who.first} {who.patronymic}")
        if who.first:
            made["contacts_first"].append(who.first)
            if not who.surname:
                made["contacts_lone"].append(who.first)
    return {name: _once(values) for name, values in made.items()}


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


# ---- people --------------------------------------------------------------------------------


def _one_of_people(row: Row, _: StandIns) -> Row:
    found = {name: str(row[name]).strip().lower() for name in PEOPLE if row.get(name)}
    if "date_of_birth" in found:
        found["date_of_birth"] = re.sub(r"\D", "", found["date_of_birth"])  # yyyymmdd
    return found
