"""Tell two spellings of one number: a spreadsheet drops the leading zeros of what looks like a number.

And say of a read's window what it is (whatever was changed since comes, also after the read began), and how a read
ends: what a guard stops has failed.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        """
        create function ops.number_key(number text) returns text
        language sql immutable parallel safe
        return ltrim(lower(regexp_replace(number, '\\s', '', 'g')), '0');
        comment on function ops.number_key is 'Equal for two spellings of one number: no spaces, no leading zeros, lower case.';
        create function ops.is_carried(deal text) returns boolean
        language sql stable parallel safe
        return exists (select from ops.operation o where o.subject = deal and o.kind in ('invoice', 'realization')
                       and o.state in ('sent', 'uncertain', 'confirmed', 'verified'));
        comment on function ops.is_carried is 'A document of the deal has left us, whatever became of the deal since.';
        comment on column ops.batch.window_from is 'Changes since, inclusive, with the overlap already taken off;'
            ' empty where everything was read, 1970 for what changed since ever.';
        comment on column ops.batch.window_to is 'When the read began, by our clock: the next one goes on from there.'
            ' What changed later may have come too.';
        alter table ops.batch drop constraint batch_status_check,
            add constraint batch_status_check check (status in ('reading', 'loaded', 'failed'));
        comment on column ops.batch.status is 'reading; loaded; failed: an error, or a guard stopped it, and the cursor stays'
            ' (for example too many deletions).';
        """
    )
