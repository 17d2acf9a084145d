"""What was decided of a document and has not left us may be decided otherwise; the decision before is kept."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    # What was refused may be held by now: its period is closed, or its deal is not right.
    op.execute(
        """
        create or replace function ops.may_move(from_state text, to_state text) returns boolean
        language sql immutable parallel safe
        return case from_state
            when 'planned' then to_state in ('held', 'approved', 'superseded')
            when 'held' then to_state in ('planned', 'superseded', 'rejected', 'verified')
            when 'approved' then to_state in ('sent', 'held', 'superseded', 'planned')
            when 'sent' then to_state in ('confirmed', 'uncertain', 'planned', 'rejected', 'held')
            when 'uncertain' then to_state in ('confirmed', 'planned')
            when 'confirmed' then to_state in ('verified', 'held', 'uncertain')
            when 'verified' then to_state in ('superseded', 'reversed')
            when 'rejected' then to_state in ('planned', 'superseded', 'held')
            when 'superseded' then to_state = 'planned'
            else false
        end
        """
    )
    op.execute("drop trigger append_only on ops.revision")
    op.execute(
        "create trigger append_only before update or truncate on ops.revision"
        " for each statement execute function ops.refuse_rewriting()"
    )
    op.execute(
        "comment on table ops.revision is 'Documents that stay in accounting as they are, and what follows: a correction, or a"
        " return and a new document of the next revision. A decision of which nothing has left goes to ops.revision_dropped"
        " once another one is made; else append-only.'"
    )
    op.execute(
        """
        create table ops.revision_dropped (
            like ops.revision,
            dropped_at timestamptz not null default clock_timestamp(),
            run_id     text
        )
        """
    )
    op.execute(
        "comment on table ops.revision_dropped is 'Decisions about documents that came to nothing: none of what was to follow had"
        " left us when the deal, or what accounting holds, called for another decision. Append-only.'"
    )
    op.execute("create index revision_dropped_deal on ops.revision_dropped (deal_id)")
    op.execute(
        "create trigger append_only before update or delete or truncate on ops.revision_dropped"
        " for each statement execute function ops.refuse_rewriting()"
    )
