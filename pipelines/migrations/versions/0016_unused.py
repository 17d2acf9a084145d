"""What nothing asks any more: decisions compare many documents at once, and a closed period is closed to everything."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("drop function ops.told_changes(jsonb, jsonb, text[])")
    op.execute("drop function ops.changed_fields(jsonb, jsonb)")
    op.execute("drop function ops.line_contents(jsonb)")
    op.execute("alter table ops.period_lock drop constraint period_lock_pkey")
    op.execute("delete from ops.period_lock where subject <> ''")
    op.execute("alter table ops.period_lock drop column subject")
    op.execute("alter table ops.period_lock add primary key (system, organization)")
