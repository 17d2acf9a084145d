"""Where deals stand and for how long: figures of docs/marts.md."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from resources.warehouse import Warehouse
from tests.marts.company import CRM, insert, tell_activities

pytest_plugins = ("tests.marts.fixtures",)

END_OF_JANUARY = date(2026, 1, 31)
JANUARY = date(2026, 1, 1)


def number(text: str) -> Decimal:
    return Decimal(text)


def test_every_stay_of_a_deal_is_told_as_it_was(stages: Warehouse) -> None:
    rows = stages.rows(
        "select deal_id, visit, visit_of_stage, stage_code, is_start_known, days, moved, next_stage_code, skipped"
        " from marts.stage_time_as_of(%s) where outcome = 'open' order by deal_id, visit",
        [END_OF_JANUARY],
    )
    assert rows == [
        ("s1", 1, 1, "NEW", True, 2, "on", "CALL", 0),
        ("s1", 2, 1, "CALL", True, 4, "on", "OFFER", 0),
        ("s1", 3, 1, "OFFER", True, 10, "won", "WON", 0),
        ("s2", 1, 1, "NEW", True, 4, "on", "OFFER", 1),
        ("s2", 2, 1, "OFFER", True, 14, "won", "WON", 0),
        ("s3", 1, 1, "NEW", True, 6, "on", "CALL", 0),
        ("s3", 2, 1, "CALL", True, 8, "back", "NEW", None),
        ("s3", 3, 2, "NEW", True, 2, "on", "CALL", 0),
        ("s3", 4, 2, "CALL", True, 4, "lost", "LOST", None),
        # from 10 January, noon in Moscow, to the end of the month there
        ("s4", 1, 1, "NEW", True, number("21.5"), None, None, None),
        ("s5", 1, 1, "CALL", False, 5, "lost", "LOST", None),
        ("s6", 1, 1, "NEW", True, 2, "deleted", None, None),
        ("s7", 1, 1, "OFFER", False, number("26.5"), None, None, None),
    ]


def test_a_past_day_shows_the_stays_of_that_day(stages: Warehouse) -> None:
    rows = stages.rows(
        "select deal_id, stage_code, left_at, days from marts.stage_time_as_of('2026-01-05') order by deal_id, visit"
    )
    assert [(row[0], row[1], row[2] is None) for row in rows] == [
        ("s1", "NEW", False),
        ("s1", "CALL", True),
        ("s2", "NEW", True),
        ("s3", "NEW", True),
        ("s7", "OFFER", True),
    ]


def test_the_flow_counts_what_entered_left_and_went_on(stages: Warehouse) -> None:
    rows = stages.rows(
        "select manager, stage_code, entered, returned, here, left_stage, went_on, skipped, went_back, lost, gone,"
        " conversion, timed, average_days, median_days from marts.stage_flow_as_of(%s)"
        " where month = %s order by manager, stage_position",
        [END_OF_JANUARY, JANUARY],
    )
    assert rows == [
        ("Анна Орлова", "NEW", 2, 0, 0, 2, 2, 1, 0, 0, 0, 1, 2, 3, 3),
        ("Анна Орлова", "CALL", 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 4, 4),
        ("Анна Орлова", "OFFER", 2, 0, 0, 2, 2, 0, 0, 0, 0, 1, 2, 12, 12),
        ("Борис Лис", "NEW", 4, 1, 1, 3, 2, 0, 0, 0, 1, 1, 2, 4, 4),
        ("Борис Лис", "CALL", 3, 1, 0, 3, 0, 0, 1, 2, 0, 0, 2, 6, 6),
        ("Борис Лис", "OFFER", 1, 0, 1, 0, 0, 0, 0, 0, 0, None, 0, None, None),
    ]


def test_a_deal_is_stuck_longer_than_those_that_went_on_and_forgotten_without_changes(
    stages: Warehouse,
) -> None:
    rows = stages.rows(
        "select deal_id, why, stage, manager, amount, days, usual_days, compared"
        " from marts.stuck_deal_as_of(%s) order by deal_id, why",
        [END_OF_JANUARY],
    )
    assert rows == [
        ("s4", "forgotten", "Новая", "Борис Лис", 100, number("21.5"), 14, None),
        # NEW: 2, 2, 4, 6 days: 4 + 0.7 * (6 - 4)
        ("s4", "stuck", "Новая", "Борис Лис", 100, number("21.5"), number("5.4"), 4),
        # from OFFER only two went on: too few to say that it is stuck
        ("s7", "forgotten", "КП", "Борис Лис", 100, number("26.5"), 14, None),
    ]
    sentence, sentence_ru = stages.rows(
        "select sentence, sentence_ru from marts.stuck_deal_as_of(%s) where why = 'stuck'", [END_OF_JANUARY]
    )[0]
    assert sentence.startswith("21.5 days in the stage Новая; of the 4 deals that went on from there 90 %")
    assert sentence_ru.startswith("21.5 дн. на стадии «Новая»; из 4 сделок")


def test_nothing_is_stuck_where_too_few_went_on(own_stages: Warehouse) -> None:
    own_stages.execute(
        """update ops.setting set value = '{"deals": 5, "forgotten_days": 27}' where name = 'sales_stuck'"""
    )
    assert own_stages.rows("select * from marts.stuck_deal_as_of(%s)", [END_OF_JANUARY]) == []


def test_a_new_stamp_is_no_change_of_a_deal_that_we_write_to(own_stages: Warehouse) -> None:
    stamped = "2026-01-30 09:00Z"
    own_stages.execute(
        "insert into ops.row_version (table_name, key, scope, said_from, known_from, row)"
        " select 'core.deal', deal_id, deal_id, said_from, known_from, to_jsonb(d) - array['said_from', 'known_from']"
        " from core.deal d where deal_id in ('s4', 's7')"
    )
    own_stages.execute(
        "update core.deal set said_from = %s, known_from = %s, modified_at = %s where deal_id in ('s4', 's7')",
        [stamped] * 3,
    )
    own_stages.execute(
        "insert into ops.operation (target, kind, action, operation_id, key, subject, planned_at)"
        " values ('crm', 'deal', 'update', '00000000-0000-0000-0000-000000000001', 's4', 's4', now())"
    )
    rows = own_stages.rows(
        "select deal_id from marts.stuck_deal_as_of(%s) where why = 'forgotten'", [END_OF_JANUARY]
    )
    assert rows == [("s4",)]


def test_a_deal_that_somebody_works_on_is_not_forgotten_though_nothing_changes(own_stages: Warehouse) -> None:
    forgotten = (
        "select deal_id, days, since, sentence from marts.stuck_deal_as_of(%s) where why = 'forgotten'"
        " order by deal_id"
    )
    with own_stages.transaction() as conn:
        tell_activities(conn)
        insert(
            conn,
            "core.activity",
            CRM,
            "activity_id kind deal_id happened_at is_done",
            [
                ("a1", "call", "s4", "2026-01-25 09:00Z", True),
                ("a2", "meeting", "s7", "2026-01-30 09:00Z", False),  # planned, and not held
                ("a3", "task", "s7", "2026-01-16 09:00Z", True),
                ("a4", "call", "s7", "2026-02-02 09:00Z", True),  # later
            ],
        )
    sixteenth = datetime(2026, 1, 16, 9, tzinfo=UTC)
    assert own_stages.rows(forgotten, [END_OF_JANUARY]) == [
        (
            "s7",
            number("15.5"),
            sixteenth,
            "Nothing changed, and nobody called, wrote or met for 15.5 days, since 2026-01-16. Take it on, or close it.",
        )
    ]
    own_stages.execute("update core.activity set is_deleted = true")
    assert [row[:2] for row in own_stages.rows(forgotten, [END_OF_JANUARY])] == [
        ("s4", number("21.5")),
        ("s7", number("26.5")),
    ]


def test_reasons_for_loss_are_told_with_the_stage_before(stages: Warehouse) -> None:
    rows = stages.rows(
        "select month, manager, stage, loss_reason, currency, deals, amount, share_of_lost"
        " from marts.loss_reason order by loss_reason"
    )
    assert rows == [
        (JANUARY, "Борис Лис", "Звонок", "Цена", "RUB", 1, 100, number("0.5")),
        (JANUARY, "Борис Лис", "Звонок", None, "RUB", 1, 100, number("0.5")),
    ]
