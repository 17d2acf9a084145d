"""What was superseded before it left may be due again: the same deal event is the same operation."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute(
        """
        create or replace function ops.may_move(from_state text, to_state text) returns boolean
        language sql immutable parallel safe
        return case from_state
            when 'planned' then to_state in ('held', 'approved', 'superseded')
            when 'held' then to_state in ('planned', 'superseded', 'rejected')
            when 'approved' then to_state in ('sent', 'held', 'superseded', 'planned')
            when 'sent' then to_state in ('confirmed', 'uncertain', 'planned', 'rejected', 'held')
            when 'uncertain' then to_state in ('confirmed', 'planned')
            when 'confirmed' then to_state in ('verified', 'held', 'uncertain')
            when 'verified' then to_state in ('superseded', 'reversed')
            when 'rejected' then to_state in ('planned', 'superseded')
            when 'superseded' then to_state = 'planned'
            else false
        end
        """
    )
