"""Since when? The run in which each variance was first and last seen, kept beside the derived ledger."""

from __future__ import annotations

from resources.warehouse import Connection


def remember_variances(conn: Connection, run_id: str) -> tuple[int, int]:
    """Note the variances that are there now; (appeared, resolved). One that comes back keeps its first day."""
    appeared = conn.execute(
        """
        insert into ops.variance_memory
            (variance_key, first_seen_at, first_seen_run, last_seen_at, last_seen_run, owner)
        select v.variance_key, now(), %(run)s, now(), %(run)s, v.owner from ledger.variance v
        where not exists (
            select from ops.variance_memory m where m.variance_key = v.variance_key and m.resolved_at is null)
        on conflict (variance_key) do update
        set resolved_at = null, last_seen_at = excluded.last_seen_at, last_seen_run = excluded.last_seen_run
        """,
        {"run": run_id},
    ).rowcount
    resolved = conn.execute(
        """
        update ops.variance_memory m set resolved_at = now()
        where m.resolved_at is null
          and not exists (select from ledger.variance v where v.variance_key = m.variance_key)
        """
    ).rowcount
    conn.execute(
        """
        update ops.variance_memory m set last_seen_at = now(), last_seen_run = %s
        where m.resolved_at is null and m.last_seen_run is distinct from %s
        """,
        [run_id, run_id],
    )
    return appeared, resolved
