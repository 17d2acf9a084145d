"""What several sources need: when each was last looked at, and of which of them people were told that they fail."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute(
        """
        create table ops.look (
            system        text primary key,
            first_at      timestamptz not null default now(),
            looked_at     timestamptz,
            read_until    timestamptz,
            error         text,
            is_final      boolean not null default false,
            failing_since timestamptz
        );
        comment on table ops.look is 'The last look of each sensor at its system: a few requests that read nothing.';
        comment on column ops.look.first_at is 'When the system was first known here: one that was never read is late since then.';
        comment on column ops.look.looked_at is 'When the system last answered a look.';
        comment on column ops.look.read_until is 'The last look that found nothing new: what was changed before it is in raw.';
        comment on column ops.look.error is 'Why the last look was not answered; empty where it was.';
        comment on column ops.look.is_final is 'Asking again cannot help: a revoked token, a missing right.';
        comment on column ops.look.failing_since is 'The first of the looks that were not answered.';

        create table ops.alarm (
            alarm_id    bigint generated always as identity primary key,
            system      text not null,
            kind        text not null check (kind in ('unread', 'behind')),
            began_at    timestamptz not null,
            ended_at    timestamptz,
            cause       text not null,
            read_until  timestamptz,
            told_at     timestamptz,
            end_told_at timestamptz
        );
        create unique index alarm_open on ops.alarm (system, kind) where ended_at is null;
        create index alarm_untold on ops.alarm (alarm_id) where told_at is null or (ended_at is not null and end_told_at is null);
        comment on table ops.alarm is 'Times in which a system could not be read, or was read too late: people are told'
            ' once when one begins, and once when it ends.';
        comment on column ops.alarm.kind is 'unread: its last reading failed; behind: not read for longer than it may be.';
        comment on column ops.alarm.cause is 'What was wrong when it began, a sentence.';
        comment on column ops.alarm.read_until is 'How far the system had been read when it began; empty: never.';
        comment on column ops.alarm.told_at is 'When people were told that it began.';
        comment on column ops.alarm.end_told_at is 'When people were told that it is over.';
        """
    )
