"""Which records of a CRM were looked at since somebody changed them, and how often our values were put back."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute(
        """
        create table ops.shown (
            system    text not null,
            kind      text not null,
            key       text not null,
            stamp     timestamptz,
            looked_on date not null,
            mended_on date,
            times     integer not null default 0,
            told_on   date,
            primary key (system, kind, key)
        );
        comment on table ops.shown is 'Records of a CRM that we write to and somebody changed since: what was seen there.';
        comment on column ops.shown.stamp is 'The stamp of the record when we last looked whether it shows what we wrote.';
        comment on column ops.shown.looked_on is 'The day of that look.';
        comment on column ops.shown.mended_on is 'The day on which our values were last put back.';
        comment on column ops.shown.times is 'How often they were put back on that day.';
        comment on column ops.shown.told_on is 'The day on which people were told that somebody overwrites them again and again.';
        """
    )
