"""Whoever writes the log of changes waits for its turn; what resolved a variance is known by its version."""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.execute(
        """
        -- Before a row gets its number: one that commits late with an earlier number would be passed over.
        create trigger take_turn before insert on ops.change_log for each statement execute function ops.take_turn();
        comment on function ops.take_turn is 'Before operations or the log of changes are written: the turn first, then the rows.';

        alter table ops.variance_memory drop column last_batch;
        insert into ops.version_mark (table_name, raw_table, version_id)
        select 'ops.variance_memory', raw_table, min(version_id) from ops.version_mark
        where table_name in ('ledger.document', 'ledger.document_line', 'ledger.payment', 'core.deal', 'core.deal_line')
        group by raw_table;
        comment on table ops.version_mark is
            'Up to which version of a raw table the versions of a table that mappings fill are told, and variances remembered.';
        """
    )
