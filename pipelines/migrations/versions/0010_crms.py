"""What several CRMs need: tokens that change, merged records, and what their webhooks said."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute(
        """
        create table ops.token (
            system        text primary key,
            access_token  text,
            refresh_token text,
            expires_at    timestamptz,
            extra         jsonb not null default '{}',
            granted_by    text not null default '',
            changed_at    timestamptz not null default clock_timestamp()
        );
        comment on table ops.token is 'The tokens of systems that give them for a time. The row is locked while one is'
            ' renewed, and written before the new one is used.';
        comment on column ops.token.extra is 'What else came with it: the address to talk to, the scope.';
        comment on column ops.token.granted_by is 'A mark of the grant that it came from: a new one in the connection wins.';
        revoke all on ops.token from public;

        create table ops.merged (
            source     text not null,
            entity     text not null,
            source_id  text not null,
            into_id    text not null,
            first_seen_at timestamptz not null default now(),
            primary key (source, entity, source_id)
        );
        comment on table ops.merged is 'Records that were merged into another in their system, with the survivor.';

        create table ops.hook (
            hook_id     bigint generated always as identity primary key,
            system      text not null,
            entity      text not null,
            ids         text[] not null,
            digest      text not null,
            received_at timestamptz not null default clock_timestamp(),
            last_at     timestamptz not null default clock_timestamp(),
            times       integer not null default 1,
            tries       integer not null default 0,
            seen_at     timestamptz
        );
        create unique index hook_unseen on ops.hook (system, entity, digest) where seen_at is null;
        create index hook_oldest on ops.hook (system, hook_id) where seen_at is null;
        create index hook_received on ops.hook (received_at);
        comment on table ops.hook is 'What webhooks hinted at: records to read again. Their bodies are not kept: they'
            ' hold tokens and personal data, and nothing is taken from them.';
        comment on column ops.hook.ids is 'Records of the entity that may have changed; an empty id stands for some record.';
        comment on column ops.hook.digest is 'SHA-256 of what was sent, and which part of its hints this is.';
        comment on column ops.hook.times is 'How often the same came until it was seen; what comes after that is a row of its own.';
        comment on column ops.hook.last_at is 'When it came the last time.';
        comment on column ops.hook.tries is 'Reads of these records that their system refused for good.';
        comment on column ops.hook.seen_at is 'When a read that began after it came was stored.';
        """
    )
