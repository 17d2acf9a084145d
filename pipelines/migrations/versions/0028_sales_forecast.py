"""What buyers are expected to pay, as it was foretold month by month."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.execute(
        """
        create table ops.sales_forecast (
            foretold_in          date not null,
            currency             text not null,
            method               text not null,
            month                date not null,
            horizon              integer not null,
            amount               numeric(18,2),
            reason               text,
            reason_ru            text,
            history_months       integer not null,
            origins              integer not null,
            mean_error           numeric(18,2),
            mean_absolute_error  numeric(18,2),
            share_of_actual      numeric(18,4),
            naive_absolute_error numeric(18,2),
            skill                numeric(18,4),
            made_at              timestamptz not null default now(),
            primary key (foretold_in, currency, method, horizon)
        );
        comment on table ops.sales_forecast is 'What buyers are expected to pay, as foretold in each month; see marts.sales_forecast.';
        comment on column ops.sales_forecast.foretold_in is 'First day of the month in which it was foretold; anew every night of it.';
        comment on column ops.sales_forecast.horizon is '1: the month in which it was foretold.';
        """
    )
