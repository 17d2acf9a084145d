"""What rows of core said before: append-only, in two times; raw versions know since when they are valid."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute(
        """
        create table ops.core_version (
            table_name text not null,
            key        text not null,
            scope      text,
            said_from timestamptz not null,
            known_from timestamptz not null,
            row        jsonb,
            primary key (table_name, key, said_from, known_from)
        )
        """
    )
    op.execute("create index core_version_scope on ops.core_version (table_name, scope)")
    op.execute(
        "comment on table ops.core_version is 'What rows of core said before, and of times that were told of late. What a row"
        " says now stands in its table alone, with its own said_from and known_from. Append-only.'"
    )
    for column, comment in {
        "scope": "The scope that the row was in.",
        "said_from": "Since when the source said so, by its own time.",
        "known_from": "Since when the table said so.",
        "row": "The columns of the row; empty: from then on there was none.",
    }.items():
        op.execute(f"comment on column ops.core_version.{column} is '{comment}'")
    op.execute(
        "create trigger append_only before update or delete or truncate on ops.core_version"
        " for each statement execute function ops.refuse_rewriting()"
    )
    # Who reads core reads this too, and nothing else of ops.
    op.execute("create view core.kept_version as select * from ops.core_version")
    op.execute(
        "comment on view core.kept_version is 'ops.core_version, for the functions that show rows as of a time.'"
    )
    op.execute(
        """
        create table ops.version_mark (
            table_name text not null,
            raw_table  text not null,
            version_id bigint not null,
            primary key (table_name, raw_table)
        )
        """
    )
    op.execute(
        "comment on table ops.version_mark is 'Up to which version of a raw table the versions of a table of core are told.'"
    )
    op.execute(
        """
        do $$ declare name text; begin
            for name in select c.relname from pg_class c
                        where c.relnamespace = 'raw'::regnamespace and c.relkind = 'r' loop
                execute format('alter table raw.%I add column if not exists said_from timestamptz', name);
                execute format('comment on column raw.%I.said_from is %L', name,
                               'Since when it is so in the source, where that is not modified_at, else seen_at.');
                execute format('create index if not exists %I on raw.%I (source_id) where not is_current',
                               name || '_earlier', name);
                execute format('create index if not exists %I on raw.%I (parent_id) where not is_current',
                               name || '_earlier_parent', name);
            end loop;
        end $$
        """
    )
