"""What rows of the ledger said before is kept beside those of core; since when reports are whole, and up to when."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("alter table ops.core_version rename to row_version")
    op.execute("alter index ops.core_version_pkey rename to row_version_pkey")
    op.execute("drop index ops.core_version_scope")
    op.execute(
        "create index row_version_scope on ops.row_version (table_name, scope) where scope is not null"
    )
    op.execute(
        "comment on table ops.row_version is 'What rows of core and of the ledger said before, and of times that were told"
        " of late. What a row says now stands in its table alone, with its own times. Append-only.'"
    )
    op.execute(
        "comment on column ops.row_version.said_from is"
        " 'Since when the source said so, by its own time; -infinity of what is worked out here.'"
    )
    op.execute(
        "comment on column ops.row_version.scope is"
        " 'The scope that the row was in; empty of what is worked out here, which is never told of late.'"
    )
    # Who reads a stage reads what its rows said before too, and nothing else of ops.
    for stage in ("core", "ledger"):
        op.execute(
            f"create or replace view {stage}.kept_version as"
            f" select * from ops.row_version where starts_with(table_name, '{stage}.')"
        )
        op.execute(
            f"comment on view {stage}.kept_version is"
            f" 'ops.row_version of {stage}, for the functions that show rows as of a time.'"
        )
    op.execute(
        "comment on table ops.version_mark is"
        " 'Up to which version of a raw table the versions of a table that mappings fill are told.'"
    )
    op.execute(
        """
        create table ops.known_moment (
            table_name text primary key,
            first_at   timestamptz not null,
            last_at    timestamptz not null
        )
        """
    )
    op.execute(
        "comment on table ops.known_moment is 'Of each table whose rows say since when they are known: since when there are any,"
        " and since when the last. Writers take turns, so that a reader who sees a moment sees all that was known by then.'"
    )
