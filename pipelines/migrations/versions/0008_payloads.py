"""Compare records themselves.

A hash of each payload cost a first read a third of the database's time, and had to be of the same fields
ever after.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute(
        """
        do $$ declare name text; begin
            for name in select table_name from information_schema.columns
                        where table_schema = 'raw' and column_name = 'payload_hash' loop
                execute format('alter table raw.%I drop column payload_hash, alter payload set statistics 0', name);
            end loop;
        end $$
        """
    )
