"""What accountants change in documents of ours: seen, told from our own writes, handled by whose the field is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.operations.edits import MAX_WRITTEN_BACK
from pipelines.operations.waiting import waiting
from tests.laws.acts import Act, do
from tests.laws.books import COUNTERPARTY
from tests.laws.conftest import Beginning, Towns, examples
from tests.laws.one_deal import asked, deal_of, only, reprice, say, settle
from tests.laws.town import Town

OWNED = ("owned_invoice", "owned_sale", "owned_name")
TARGETS = {"onec": True}


@contextmanager
def sold(towns: Towns, *rewordings: str) -> Iterator[tuple[Town, str]]:
    """A company whose only deal, one line of 1,000.10, has an invoice (a draft) and a posted realization; and the deal."""
    with towns(selling(*rewordings)) as town:
        yield town, deal_of(town)


@cache
def selling(*rewordings: str) -> Beginning:
    def begin(town: Town) -> None:
        town.remap(*rewordings)
        only(town, "22", lines=1)
        settle(town)

    return begin


def held(town: Town, kind: str) -> tuple[str, dict[str, Any]]:
    ((key, row),) = town.books.all(kind).items()
    return key, row


def edits(town: Town) -> list[tuple[Any, ...]]:
    return town.rows("select kind, field, held, found, outcome, actor from ops.edit order by edit_id")


def variances(town: Town, kind: str) -> list[tuple[Any, ...]]:
    key, _ = held(town, kind)
    return town.rows(
        "select reason, amount from ledger.variance where document_key = %s and measure <> 'paid' order by 1",
        [f"onec:{key}"],
    )


def resell(town: Town, kind: str, price: str) -> None:
    """An accountant changes the price of the only line, and with it the sum."""
    key, row = held(town, kind)
    (line,) = row["Товары"]
    vat = (Decimal(price) * 22 / 122).quantize(Decimal("0.01"))
    changed = {**line, "Цена": Decimal(price), "Сумма": Decimal(price), "СуммаНДС": vat}
    town.books.change(kind, key, Товары=[changed], СуммаДокумента=Decimal(price))


def writes(town: Town, since: int) -> list[tuple[str, str]]:
    return [(verb, kind) for verb, kind, _ in town.books.writes[since:]]


# ---- accounting's -----------------------------------------------------------------------------


def test_what_accounting_changes_of_its_own_is_kept_and_no_variance_and_survives_our_next_update(
    towns: Towns,
) -> None:
    with sold(towns, *OWNED) as (town, deal):
        key, _ = held(town, "invoice")
        town.books.change("invoice", key, Date="2026-03-14T00:00:00", Комментарий="по просьбе клиента")
        since = len(town.books.writes)
        done = settle(town)
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert variances(town, "invoice") == []
        assert writes(town, since) == []
        assert edits(town) == [
            ("invoice", "comment", f"crm:bitrix24:{deal}", "по просьбе клиента", "accepted", "accounting"),
            ("invoice", "date", "2026-03-10", "2026-03-14", "accepted", "accounting"),
        ]
        reprice(town, deal, "900.00")
        settle(town)
        _, now = held(town, "invoice")
        assert (now["Date"], now["Комментарий"]) == ("2026-03-14T00:00:00", "по просьбе клиента")
        assert Decimal(now["СуммаДокумента"]) == Decimal("900.00")
        assert variances(town, "invoice") == []
        assert len(edits(town)) == 2, "our own update is no edit of theirs"
        assert town.rebuild() == []


def test_both_sides_at_once_change_each_its_own(towns: Towns) -> None:
    with sold(towns, *OWNED) as (town, deal):
        key, _ = held(town, "invoice")
        town.books.change("invoice", key, Date="2026-03-14T00:00:00")
        reprice(town, deal, "800.00")
        town.sync()
        settle(town)
        _, now = held(town, "invoice")
        assert (now["Date"], Decimal(now["СуммаДокумента"])) == ("2026-03-14T00:00:00", Decimal("800.00"))
        assert variances(town, "invoice") == []
        assert town.rebuild() == []


def test_what_the_crm_changes_of_accountings_own_is_left_and_stays_a_variance(towns: Towns) -> None:
    with sold(towns, *OWNED) as (town, deal):
        since = len(town.books.writes)
        town.portal.change("deal", deal, closedate="2026-03-20T03:00:00+03:00")
        settle(town)
        assert writes(town, since) == [("update", "invoice")], "the day by which it is paid is the CRM's"
        _, now = held(town, "invoice")
        assert (now["Date"], now["СрокОплаты"]) == ("2026-03-10T00:00:00", "2026-03-30T00:00:00")
        assert variances(town, "invoice") == [("date", Decimal(0))]


# ---- the CRM's --------------------------------------------------------------------------------


def test_what_accounting_changes_of_the_crms_in_a_draft_is_a_variance_and_written_back_by_the_next_sync(
    towns: Towns,
) -> None:
    with sold(towns, *OWNED) as (town, _):
        assert waiting(town.warehouse, TARGETS) is None
        resell(town, "invoice", "990.00")
        town.sync()
        assert [amount for _, amount in variances(town, "invoice")] == [Decimal("10.10")]
        found = waiting(town.warehouse, TARGETS)
        assert found is not None, "no change outside would start the sync that writes it back"
        assert str(found) == "1 accounting edit"
        since = len(town.books.writes)
        done = settle(town)
        assert writes(town, since) == [("update", "invoice")]
        assert done.planned.updates == 1
        assert Decimal(held(town, "invoice")[1]["СуммаДокумента"]) == Decimal("1000.10")
        assert variances(town, "invoice") == []
        assert {(field, outcome) for _, field, _, _, outcome, _ in edits(town)} == {
            ("amount", "written back"), ("lines", "written back"),
        }  # fmt: skip


def test_an_edit_that_comes_while_ours_is_written_back_is_not_overwritten_unseen(towns: Towns) -> None:
    with sold(towns, *OWNED) as (town, _):
        resell(town, "invoice", "990.00")
        town.sync()
        resell(town, "invoice", "980.00")  # after the read, before the plan
        town.sync()
        assert Decimal(held(town, "invoice")[1]["СуммаДокумента"]) == Decimal("980.00")
        settle(town)
        assert Decimal(held(town, "invoice")[1]["СуммаДокумента"]) == Decimal("1000.10")


def test_a_person_is_asked_once_accounting_has_undone_what_was_written_back_several_times(
    towns: Towns,
) -> None:
    with sold(towns, *OWNED) as (town, _):
        for turn in range(MAX_WRITTEN_BACK):
            resell(town, "invoice", f"99{turn}.00")
            town.sync()
            settle(town)
            assert Decimal(held(town, "invoice")[1]["СуммаДокумента"]) == Decimal("1000.10")
        resell(town, "invoice", "980.00")
        town.sync()
        settle(town)
        assert Decimal(held(town, "invoice")[1]["СуммаДокумента"]) == Decimal("980.00")
        (question,) = asked(town)
        assert question["told"].endswith(
            "accounting changes it again each time that it is written back: sum, lines"
        )
        assert question["told_ru"].endswith(
            "в учёте его меняют снова после каждой обратной записи: сумма, строки"
        )
        assert say(town, "update") == ""
        settle(town)
        assert Decimal(held(town, "invoice")[1]["СуммаДокумента"]) == Decimal("1000.10")
        assert asked(town) == []


# ---- whose it is by its state -----------------------------------------------------------------


def test_a_field_changes_hands_when_its_document_is_posted(towns: Towns) -> None:
    with sold(towns, *OWNED, "follows", "follows_read", "updated") as (town, deal):
        resell(town, "realization", "990.00")
        done = settle(town)
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert variances(town, "realization") == []
        assert Decimal(held(town, "realization")[1]["СуммаДокумента"]) == Decimal("990.00")
        assert ("realization", "amount", "1000.10", "990.00", "accepted", "accounting") in edits(town)
        since = len(town.books.writes)
        reprice(town, deal, "900.00")
        settle(town)
        assert [w for w in writes(town, since) if w[1] == "realization"] == []
        assert Decimal(held(town, "realization")[1]["СуммаДокумента"]) == Decimal("990.00")
        assert town.rebuild() == []


# ---- undone in accounting ---------------------------------------------------------------------


def test_what_was_unposted_is_posted_again_where_the_mapping_says_so(towns: Towns) -> None:
    with sold(towns, *OWNED) as (town, _):
        key, _ = held(town, "realization")
        town.books.change("realization", key, Posted=False)
        town.sync()
        ((reason, sentence, sentence_ru),) = town.rows(
            "select reason, sentence, sentence_ru from ledger.variance where document_key = %s and measure <> 'paid'",
            [f"onec:{key}"],
        )
        assert reason == "unposted"
        assert "not posted" in sentence
        assert "не проведён" in sentence_ru
        since = len(town.books.writes)
        settle(town)
        assert writes(town, since) == [("post", "realization")]
        assert variances(town, "realization") == []
        assert [edit[1:5] for edit in edits(town)] == [("posting", "posted", "unposted", "posted again")]


def test_what_was_unposted_is_left_where_the_mapping_says_nothing(towns: Towns) -> None:
    with sold(towns) as (town, _):
        key, _ = held(town, "realization")
        town.books.change("realization", key, Posted=False)
        since = len(town.books.writes)
        settle(town)
        assert writes(town, since) == []
        assert [reason for reason, _ in variances(town, "realization")] == ["unposted"]
        assert asked(town) == []


def test_somebody_who_unposts_it_again_and_again_is_asked(towns: Towns) -> None:
    with sold(towns, *OWNED) as (town, _):
        key, _ = held(town, "realization")
        for _ in range(MAX_WRITTEN_BACK):
            town.books.change("realization", key, Posted=False)
            town.sync()
            settle(town)
            assert held(town, "realization")[1]["Posted"]
        town.books.change("realization", key, Posted=False)
        town.sync()
        town.sync()
        (question,) = asked(town)
        assert "somebody unposted it" in question["told"]
        assert "отменили проведение" in question["told_ru"]
        assert "answer post or leave" in say(town, "correction")
        assert say(town, "post") == ""
        settle(town)
        assert held(town, "realization")[1]["Posted"]
        assert asked(town) == []


def test_a_deleted_document_is_asked_about_and_the_question_goes_when_it_is_restored(towns: Towns) -> None:
    with sold(towns, *OWNED) as (town, _):
        key, _ = held(town, "realization")
        town.books.change("realization", key, DeletionMark=True, Posted=False)
        town.sync()
        town.sync()
        (question,) = asked(town)
        assert "deleted it in accounting or marked it for deletion" in question["told"]
        assert "пометили на удаление" in question["told_ru"]
        assert [reason for reason, _ in variances(town, "realization")] == ["missing_in_accounting"]
        town.books.change("realization", key, DeletionMark=False, Posted=True)
        town.sync()
        town.sync()
        assert asked(town) == []
        assert [edit[2:5] for edit in edits(town) if edit[1] == "deletion"] == [
            ("there", "deleted", "asked"), ("deleted", "there", "accepted"),
        ]  # fmt: skip


def test_a_refund_that_names_an_invoice_is_asked_about(towns: Towns) -> None:
    with sold(towns, *OWNED) as (town, _):
        key, row = held(town, "invoice")
        paid = {"Контрагент": row["Контрагент_Key"], "Контрагент_Type": COUNTERPARTY,
                "ВалютаДокумента_Key": row["ВалютаДокумента_Key"], "СуммаДокумента": Decimal("1000.10"),
                "РасшифровкаПлатежа": [{"LineNumber": "1", "СчетНаОплату_Key": key, "СуммаПлатежа": Decimal("1000.10")}]}  # fmt: skip
        town.books.add("payment", Date="2026-04-02T00:00:00", НазначениеПлатежа="Оплата", **paid)
        settle(town)
        assert asked(town) == []
        town.books.add("refund", Date="2026-04-03T00:00:00", НазначениеПлатежа="Возврат", **paid)
        town.sync()
        town.sync()
        (question,) = asked(town)
        assert "its money was given back" in question["told"]
        assert "вернули покупателю" in question["told_ru"]
        assert say(town, "leave") == ""
        town.sync()
        assert asked(town) == []


# ---- masters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rewordings", "kept"), [((), True), (("owned_name",), False)])
def test_a_counterparty_renamed_in_accounting_keeps_that_name_unless_the_name_is_the_crms(
    towns: Towns, rewordings: tuple[str, ...], kept: bool
) -> None:
    with sold(towns, *rewordings) as (town, _):
        created = [key for verb, kind, key in town.books.writes if (verb, kind) == ("create", "counterparty")]
        (key,) = [key for key in created if "Вектор" in town.books.all("counterparty")[key]["Description"]]
        before = town.books.all("counterparty")[key]["Description"]
        town.books.change("counterparty", key, Description="Вектор и партнёры", КПП="999901001")
        since = len(town.books.writes)
        settle(town)
        row = town.books.all("counterparty")[key]
        assert row["Description"] == ("Вектор и партнёры" if kept else before)
        assert row["КПП"] == "999901001", "only what is the CRM's is written"
        assert writes(town, since) == ([] if kept else [("update", "counterparty")])
        if not kept:
            assert [edit[:5] for edit in edits(town)] == [
                ("counterparty", "name", before, "Вектор и партнёры", "written back")
            ]


def test_a_client_renamed_in_the_crm_is_renamed_in_accounting_where_the_name_is_the_crms(
    towns: Towns,
) -> None:
    with sold(towns, "owned_name") as (town, _):
        created = [key for verb, kind, key in town.books.writes if (verb, kind) == ("create", "counterparty")]
        (key,) = [key for key in created if "Вектор" in town.books.all("counterparty")[key]["Description"]]
        requisite = next(k for k, row in town.portal.all("requisite").items() if row["ENTITY_ID"] == "22")
        town.portal.change("requisite", requisite, RQ_COMPANY_NAME='ООО "Азимут"')
        settle(town)
        assert "Азимут" in town.books.all("counterparty")[key]["Description"]
        assert "Азимут" in town.books.all("counterparty")[key]["НаименованиеПолное"]


# ---- any history ------------------------------------------------------------------------------

acts = st.lists(
    st.builds(
        Act,
        st.sampled_from(("edit_document", "edit_document", "pay", "refund", "keep_catalogues", "edit_line", "move_stage", "new_deal")),
        st.integers(0, 9), st.integers(0, 9), st.integers(0, 9),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@settings(max_examples=examples(4))
@given(rounds=st.lists(acts, min_size=1, max_size=3))
def test_whoever_changes_what_every_kopeck_stays_explained_and_it_comes_to_rest(
    towns: Towns, rounds: list[list[Act]]
) -> None:
    with towns(owning) as town:
        for doing in rounds:
            for act in doing:
                do(town, act)
            done = town.sync()
            assert [law.sentence for law in done.laws if not law.holds] == []
        for _ in range(MAX_WRITTEN_BACK + 3):
            done = town.sync()
            if done.planned.quiet and not done.carried.written:
                break
        else:
            raise AssertionError("something is written over and over")
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert town.rebuild() == []


def owning(town: Town) -> None:
    town.remap(*OWNED)
    town.sync()
    town.sync()
