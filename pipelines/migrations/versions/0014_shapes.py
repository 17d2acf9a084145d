"""What fields accounting has, kept to see which of them vanish."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute(
        """
        create table ops.shape (
            system      text not null,
            entity      text not null,
            fingerprint text not null,
            fields      jsonb not null,
            lost        text[] not null default '{}',
            seen_at     timestamptz not null default now(),
            primary key (system, entity)
        );
        comment on table ops.shape is 'What fields accounting has of each entity that its mapping file names, as it'
            ' last said; compared before every plan.';
        comment on column ops.shape.fingerprint is 'Of `fields`: another one is another shape.';
        comment on column ops.shape.fields is 'By name the vendor''s type; of table parts `Part/Field`; "": what the'
            ' vendor calls the entity.';
        comment on column ops.shape.lost is 'Fields that were there once and are gone.';
        comment on column ops.shape.seen_at is 'When accounting was last asked.';
        """
    )
