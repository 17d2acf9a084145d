"""Records of systems that number them by themselves, and the keys that we computed for those we wrote."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        """
        create table ops.alias (
            system     text not null,
            entity     text not null,
            our_key    text not null,
            vendor_key text not null,
            learned_at timestamptz not null default now(),
            primary key (system, entity, our_key),
            unique (system, entity, vendor_key)
        );
        comment on table ops.alias is 'Which record of a system that numbers its records itself is the one we wrote under'
            ' a key of ours. The first that is met stays: a copy that a person made is another record.';
        comment on column ops.alias.entity is 'The entity as it is read: customer, invoice ...';
        comment on column ops.alias.our_key is 'The computed key of the operation that created it.';
        comment on column ops.alias.vendor_key is 'The number that the system gave it.';

        create function ops.our_key(text, text[], text) returns text language sql stable parallel safe as $$
            select coalesce((select a.our_key from ops.alias a
                              where a.system = $1 and a.entity = any($2) and a.vendor_key = $3 limit 1), $3)
        $$;
        comment on function ops.our_key is 'Our key of a record (system, entities, its number there); its number where it is not ours.';

        create function ops.their_key(text, text[], text) returns text language sql stable parallel safe as $$
            select coalesce((select a.vendor_key from ops.alias a
                              where a.system = $1 and a.entity = any($2) and a.our_key = $3 limit 1), $3)
        $$;
        comment on function ops.their_key is 'The number of a record in its system (system, entities, our key).';
        """
    )
