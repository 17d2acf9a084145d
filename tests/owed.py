"""What clients owe by the ledger, held against accounting's own documents: the whole road's tests ask it of every system."""

from __future__ import annotations

from decimal import Decimal

from resources.warehouse import Warehouse

ROUNDED = Decimal("0.05")  # tax is added to the whole document there, and to each line in the CRM


def each_deal_owes_its_sum_once(warehouse: Warehouse, kind: str) -> int:
    """Every deal owes by documents of this kind alone, as much as it comes to; deals that are paid in full. Fails where
    one of them owes anything still."""
    rows = warehouse.rows(
        """
        select o.deal_id, array_agg(distinct o.kind), sum(o.amount), sum(p.actual_amount),
               bool_and(p.expected_amount is not distinct from p.actual_amount), min(d.amount)
        from ledger.obligation o
        join ledger.position p on p.document_key = o.document_key
        join core.deal d on d.deal_id = o.deal_id
        group by o.deal_id
        """
    )
    assert rows, "nobody owes anything"
    for deal, kinds, owed, held, untouched, amount in rows:
        assert kinds == [kind], deal
        assert owed == held, deal
        if untouched:
            assert abs(owed - amount) <= ROUNDED, deal
    paid = warehouse.rows(
        """
        select f.deal_id, f.payment_status, f.debt
        from feedback.deal f
        where f.paid >= (select sum(o.asked) from ledger.obligation o where o.deal_id = f.deal_id)
        """
    )
    for deal, status, debt in paid:
        assert (status, debt) == ("paid", 0), deal
    return len(paid)
