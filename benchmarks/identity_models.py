"""Splink's models as its own documentation sets them up, and where it says so.

Settings are facts taken from published examples (version 5; addresses at each model) and said in its own terms; where
an example gives no seed, one is given with the training, so that a run can be repeated. For duplicates among Russian
clients Splink documents no settings. Two models stand for it: the business example's comparison of names by the
rarity of their words with what our records have in the place of its postcode, and the comparison library's defaults
for every column with the blocking and training that the documentation advises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.identity_corpora import Shape

DEMOS: Final = "https://moj-analytical-services.github.io/splink/demos"
TOKEN_LEVELS: Final = ("1e-10", "1e-8", "1e-6", "1e-4")


@dataclass(frozen=True, slots=True)
class Model:
    """A documented way to set Splink up. `settings` is called in the process that uses it: Splink is slow to import."""

    name: str
    source: str
    shape: Shape
    settings: Callable[[], Any]
    prior_rules: Sequence[str]
    prior_recall: float
    random_pairs: float
    training_rules: Sequence[str]
    threshold: float  # match probability at which the example clusters, or else predicts
    without_term_frequencies: bool = False  # while training
    prior: float | None = None  # said by the example, in place of being estimated
    prepare: str = "select * from records"


def equal(*columns: str) -> str:
    """A blocking rule: all of these are equal."""
    return " and ".join(f"l.{column} = r.{column}" for column in columns)


def _settings(comparisons: Sequence[Any], blocking: Sequence[str], prior: float | None = None) -> Any:
    from splink import SettingsCreator

    said = {} if prior is None else {"probability_two_random_records_match": prior}
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_id",
        comparisons=list(comparisons),
        blocking_rules_to_generate_predictions=[{"blocking_rule": rule} for rule in blocking],
        **said,
    )


def _febrl3() -> Any:
    import splink.comparison_library as cl

    return _settings(
        [
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        ],
        [equal(column) for column in ("soc_sec_id", "given_name", "surname", "date_of_birth", "postcode")],
    )


def _febrl4() -> Any:
    import splink.comparison_library as cl

    return _settings(
        [
            cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("surname").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison(
                "date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True
            ),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        ],
        [
            equal("given_name", "surname"),
            "l.given_name = r.surname and l.surname = r.given_name",
            equal("date_of_birth"),
            equal("soc_sec_id"),
            equal("state", "address_1"),
            equal("street_number", "address_1"),
            equal("postcode"),
        ],
    )


def _tutorial() -> Any:
    import splink.comparison_library as cl

    return _settings(
        [
            cl.NameComparison("first_name"),
            cl.NameComparison("surname"),
            cl.LevenshteinAtThresholds("dob", 1),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        [equal("first_name", "city"), equal("surname"), equal("dob")],
    )


def _quickstart() -> Any:
    import splink.comparison_library as cl

    return _settings(
        [
            cl.JaroWinklerAtThresholds("first_name", [0.9, 0.7]),
            cl.JaroAtThresholds("surname", [0.9, 0.7]),
            cl.DateOfBirthComparison(
                "dob", input_is_string=True, datetime_metrics=["year", "month"], datetime_thresholds=[1, 1]
            ),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        [equal("first_name"), equal("surname")],
    )


def _labels_column() -> Any:
    import splink.comparison_library as cl

    return _settings(
        [
            cl.ForenameSurnameComparison("first_name", "surname"),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        [equal("first_name"), equal("surname"), equal("dob"), equal("email")],
    )


def _business() -> Any:
    import splink.comparison_library as cl

    product = (
        "list_reduce(list_concat(list_transform(list_intersect(tokens_l, tokens_r), lambda x: x.share::float), "
        "[1.0::float]), lambda p, q: p * q)"
    )
    levels: list[dict[str, Any]] = [
        {
            "sql_condition": "tokens_l is null or tokens_r is null",
            "label_for_charts": "null",
            "is_null_level": True,
        }
    ]
    levels += [
        {"sql_condition": f"{product} < {at}", "label_for_charts": f"below {at}"} for at in TOKEN_LEVELS
    ]
    levels.append({"sql_condition": "ELSE", "label_for_charts": "else"})
    rare = "l.rarest_tokens[{}] = r.rarest_tokens[{}] and substr(l.name_key, 1, 3) = substr(r.name_key, 1, 3)"
    return _settings(
        [
            {"output_column_name": "tokens", "comparison_levels": levels},
            cl.ExactMatch("city"),
            cl.ExactMatch("house"),
        ],
        [
            equal("city", "house"),
            *(rare.format(left, right) for left, right in ((1, 1), (2, 2), (1, 2), (2, 1))),
            equal("name_key"),
        ],
        prior=1e-6,
    )


BUSINESS_COLUMNS: Final = """
with words as (
    select record_id, unnest(string_split(name_key, ' ')) as token from records where name_key is not null
), shares as (
    select token, count(*)::float / (select count(*) from words) as share from words group by token
), listed as (
    select record_id, list({'token': words.token, 'share': share} order by words.token) as tokens,
        (list(words.token order by share, words.token) filter (where share < 0.01))[:2] as rarest_tokens
    from words join shares using (token) group by record_id
)
select records.*, tokens, rarest_tokens, nullif(regexp_extract(address, '[0-9]+'), '') as house
from records left join listed using (record_id)
"""


def _defaults() -> Any:
    import splink.comparison_library as cl

    return _settings(
        [
            cl.NameComparison("name_key"),
            cl.DamerauLevenshteinAtThresholds("tax_number", [1, 2]),
            cl.ExactMatch("kpp").configure(term_frequency_adjustments=True),
            cl.ExactMatch("phone").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
            cl.JaroWinklerAtThresholds("city", [0.9]).configure(term_frequency_adjustments=True),
            cl.NameComparison("contact_name"),
        ],
        [
            *(equal(column) for column in ("tax_number", "phone", "email", "name_key")),
            "substr(l.name_key, 1, 5) = substr(r.name_key, 1, 5) and l.city = r.city",
        ],
    )


FAKE_PRIOR: Final = (
    "l.first_name = r.first_name and levenshtein(r.dob, l.dob) <= 1",
    "l.surname = r.surname and levenshtein(r.dob, l.dob) <= 1",
    "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
    "l.email = r.email",
)
SPLINK: Final = (
    Model(
        "splink febrl3", f"{DEMOS}/examples/duckdb/febrl3.html", "febrl", _febrl3,
        (
            equal("soc_sec_id"), equal("given_name", "surname", "date_of_birth"),
            "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth",
        ),
        0.9, 1e6, (equal("date_of_birth"), equal("postcode")), 0.2,
    ),
    Model(
        "splink febrl4", f"{DEMOS}/examples/duckdb/febrl4.html", "febrl", _febrl4,
        (equal("soc_sec_id"), equal("given_name", "surname", "date_of_birth")),
        0.8, 1e6, (equal("date_of_birth"), equal("postcode")), 0.99, without_term_frequencies=True,
    ),
    Model(
        "splink tutorial", f"{DEMOS}/tutorials/04_Estimating_model_parameters.html", "fake", _tutorial,
        (equal("first_name", "dob"), "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2", equal("email")),
        0.7, 2e6, (equal("first_name", "surname"), equal("dob")), 0.2,
    ),
    Model(
        "splink quickstart", "https://github.com/moj-analytical-services/splink#quickstart", "fake", _quickstart,
        (equal("first_name", "surname"),), 0.7, 1e6, (equal("first_name", "surname"), equal("dob")), 0.95,
    ),
    Model(
        "splink labels", f"{DEMOS}/examples/duckdb/accuracy_analysis_from_labels_column.html", "fake", _labels_column,
        FAKE_PRIOR, 0.7, 1e6, (equal("dob"), equal("email"), equal("first_name", "surname")), 0.5,
        without_term_frequencies=True,
    ),
    Model(
        "splink business", f"{DEMOS}/examples/duckdb_no_test/business_rates_match.html", "clients", _business,
        (), 0.0, 1e7, (), 0.5, prior=1e-6, prepare=BUSINESS_COLUMNS,
    ),
    Model(
        "splink defaults", f"{DEMOS}/tutorials/08_building_your_own_model.html", "clients", _defaults,
        (equal("tax_number"), equal("name_key", "phone"), equal("name_key", "email")),
        0.7, 1e7, (equal("tax_number"), equal("name_key")), 0.95,
    ),
)  # fmt: skip
