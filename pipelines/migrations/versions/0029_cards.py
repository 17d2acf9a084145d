"""Under which record of accounting a counterparty's documents stand that we wrote."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    # A text, not a parsed body: it reads tables that are made after it, and made anew.
    op.execute(
        """
        create function ops.written_under(counterparty text) returns text
        language plpgsql stable parallel safe as $$
        begin
            return (
                with deals as (
                    select d.deal_id
                    from core.requisite_counterparty rc
                    join core.client_member m on m.client_record_id = rc.client_record_id
                    join core.client_member o on o.client_id = m.client_id
                    join core.deal d on d.client_record_id = o.client_record_id
                    where rc.counterparty_id = counterparty
                    union
                    select n.deal_id
                    from core.requisite_counterparty rc
                    join core.deal_requisite n on n.requisite_id = rc.requisite_id
                    where rc.counterparty_id = counterparty
                ), written as (
                    -- What each document said when it was written last
                    select distinct on (w.key) w.content -> 'document' as document
                    from deals
                    join ops.operation w on w.subject = deals.deal_id
                    where ops.is_document(w.kind) and w.action in ('create', 'update') and w.state = 'verified'
                    order by w.key, w.planned_at desc, w.action desc
                )
                select case when count(distinct document ->> 'counterparty_key') = 1
                            then min(document ->> 'counterparty_key') end
                from written where document ->> 'counterparty_id' = counterparty
            );
        end $$;
        comment on function ops.written_under is
            'The record of accounting under which stand the documents of a counterparty that we wrote; null: none, or several.';
        """
    )
