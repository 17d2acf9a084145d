"""Reasons of operations in Russian, once each; steps that nobody takes are not allowed."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0024"


def upgrade() -> None:
    op.execute(
        """
        create table ops.reason_ru (
            reason    text primary key,
            reason_ru text not null
        );
        comment on table ops.reason_ru is 'Why operations stand still, in Russian, once each; accounting keeps its own words.';
        comment on column ops.reason_ru.reason is 'As ops.operation has it.';
        comment on column ops.reason_ru.reason_ru is 'The same in Russian.';
        """
    )
    op.execute(
        """
        create or replace function ops.may_move(from_state text, to_state text) returns boolean
        language sql immutable parallel safe
        return case from_state
            when 'planned' then to_state in ('held', 'approved', 'superseded')
            when 'held' then to_state in ('planned', 'superseded', 'verified')
            when 'approved' then to_state in ('sent', 'held', 'superseded', 'planned')
            when 'sent' then to_state in ('confirmed', 'uncertain', 'planned', 'rejected', 'held')
            when 'uncertain' then to_state in ('confirmed', 'planned')
            when 'confirmed' then to_state in ('verified', 'held', 'uncertain')
            when 'verified' then to_state = 'reversed'
            when 'rejected' then to_state in ('planned', 'superseded', 'held')
            when 'superseded' then to_state = 'planned'
            else false
        end
        """
    )
