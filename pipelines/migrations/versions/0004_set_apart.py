"""Whose row was set apart: the deal of a row that could not become a record is held with it."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        """
        alter table ops.quarantine add column parent_id text;
        create index on ops.quarantine (source, parent_id) where resolved_at is null;
        comment on column ops.quarantine.parent_id is
            'Source id of the deal that the row belongs to, where it is known: the deal is held until the row is mended.';
        """
    )
