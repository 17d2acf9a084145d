"""The pages of the report, in their order. A block is shown where all the marts that its query reads are there."""

from __future__ import annotations

from typing import Final

from pipelines.report.blocks import Bars, Block, Months, Section

_AGES: Final = ("not_due", "days_1_30", "days_31_60", "days_61_90", "over_90")

SECTIONS: Final = (
    Section(
        "index", "Overview", "Обзор",
        "Where money and deals stand, each currency by itself.", "Как обстоят дела с деньгами и сделками, по каждой валюте отдельно.",
        (
            Block(
                "owed", "What clients owe", "Сколько нам должны",
                """select currency, sum(debt) as debt, sum(overdue) as overdue, sum(unallocated) as unallocated, sum(balance) as balance
                   from marts.receivables_ageing_as_of(%(as_of)s) group by currency order by sum(debt) desc""",
                ("debt", "overdue", "unallocated", "balance"), is_tiles=True,
            ),
            Block(
                "this_month", "Deals closed this month", "Сделки, закрытые в этом месяце",
                """select currency, sum(deals_won)::bigint as deals_won, sum(won_amount) as won_amount, sum(invoiced) as invoiced,
                          sum(paid) as paid
                   from marts.manager_kpi_as_of(%(as_of)s) where month = date_trunc('month', %(as_of)s::date)
                   group by currency order by sum(won_amount) desc""",
                ("deals_won", "won_amount", "invoiced", "paid"), is_tiles=True,
            ),
            Block(
                "revenue", "Revenue by month", "Выручка по месяцам",
                """select month, currency, sum(documents)::bigint as documents, sum(gross) as gross, sum(vat) as vat, sum(net) as net
                   from marts.revenue_by_client where month <= %(as_of)s and month > %(as_of)s::date - interval '24 months'
                   group by month, currency order by month, currency""",
                ("month", "currency", "documents", "gross", "vat", "net"), Months(("net",)), ("documents", "gross", "vat", "net"),
            ),
            Block(
                "held", "Deals that wait for a correction", "Сделки, которые ждут исправления",
                """select check_name, currency, deals, amount, share_of_deals, example, example_ru from marts.held_by_reason
                   order by deals desc, check_name, currency""",
                ("check_name", "currency", "deals", "amount", "share_of_deals", "example"), is_now=True,
            ),
        ),
    ),
    Section(
        "receivables", "Receivables", "Дебиторская задолженность",
        "Who owes what, since when, and who answers for it.", "Кто, сколько и с какого срока должен и кто за это отвечает.",
        (
            Block(
                "ageing", "How old the debt is", "Долг по срокам",
                """select counterparty, currency, debt, not_due, days_1_30, days_31_60, days_61_90, over_90, balance
                   from marts.receivables_ageing_as_of(%(as_of)s) where debt <> 0 order by debt desc, counterparty, currency""",
                ("counterparty", "debt", *_AGES, "balance", "currency"), Bars("counterparty", _AGES), ("debt", *_AGES), limit=30,
            ),
            Block(
                "by_manager", "Debt by manager", "Долг по менеджерам",
                """select manager, currency, count(*) as receivables, sum(debt) as debt,
                          coalesce(sum(debt) filter (where days_overdue > 0), 0) as overdue
                   from marts.receivables_as_of(%(as_of)s) group by manager, currency order by sum(debt) desc, manager, currency""",
                ("manager", "receivables", "debt", "overdue", "currency"), Bars("manager", ("debt",)),
                ("receivables", "debt", "overdue"),
            ),
            Block(
                "invoices", "Documents that are not paid, the oldest first", "Неоплаченные документы, сначала давние",
                """select counterparty, client, manager, deal_id, deal, kind, number, document_date, due_on, amount, paid, debt, currency,
                          days_overdue
                   from marts.receivables_as_of(%(as_of)s) order by days_overdue desc, debt desc, document_key""",
                ("counterparty", "manager", "deal", "kind", "number", "due_on", "amount", "paid", "debt", "currency", "days_overdue"),
                None, ("amount", "paid", "debt"), limit=60,
            ),
        ),
    ),
    Section(
        "funnel", "Funnel", "Воронка",
        "How far deals get, stage by stage.", "Докуда доходят сделки, этап за этапом.",
        (
            Block(
                "stages", "Stages, all months together", "Этапы, все месяцы вместе",
                """select concat_ws(' ', source, pipeline_code) as pipeline, coalesce(stage, stage_code) as stage,
                          sum(reached)::bigint as reached,
                          sum(went_on)::bigint as went_on, round(sum(went_on) / nullif(sum(reached), 0), 4) as conversion,
                          sum(deals)::bigint as deals
                   from marts.sales_funnel where outcome is distinct from 'lost'
                   group by source, pipeline_code, stage_order, coalesce(stage, stage_code)
                   order by source, pipeline_code, stage_order""",
                ("pipeline", "stage", "reached", "went_on", "conversion", "deals"), Bars("stage", ("reached",), apart="pipeline"),
                is_now=True,
            ),
            Block(
                "cohorts", "Deals by the month in which they were created", "Сделки по месяцу создания",
                """select month, sum(deals)::bigint as cohort_deals,
                          coalesce(sum(deals) filter (where outcome = 'won'), 0)::bigint as cohort_won,
                          round(coalesce(sum(deals) filter (where outcome = 'won'), 0) / sum(deals), 4) as share_won
                   from marts.sales_funnel group by month having sum(deals) > 0 order by month""",
                ("month", "cohort_deals", "cohort_won", "share_won"), Months(("cohort_deals", "cohort_won")),
                ("cohort_deals", "cohort_won"), is_now=True,
            ),
        ),
    ),
    Section(
        "managers", "Managers", "Менеджеры",
        "What each closed, and what became of the money.", "Что закрыл каждый и что стало с деньгами.",
        (
            Block(
                "won", "Won, invoiced, paid and owed: the last twelve months",
                "Выиграно, выставлено, оплачено, не оплачено: год",
                """select manager, currency, sum(deals_won)::bigint as deals_won, sum(deals_lost)::bigint as deals_lost,
                          sum(won_amount) as won_amount,
                          round(sum(deals_won) / nullif(sum(deals_won + deals_lost), 0), 4) as conversion,
                          sum(invoiced) as invoiced, sum(paid) as paid, sum(debt) as debt, sum(overdue) as overdue
                   from marts.manager_kpi_as_of(%(as_of)s) where month > %(as_of)s::date - interval '12 months'
                   group by manager, currency order by sum(won_amount) desc, manager, currency""",
                ("manager", "deals_won", "deals_lost", "conversion", "won_amount", "invoiced", "paid", "debt", "overdue", "currency"),
                Bars("manager", ("won_amount",)), ("deals_won", "deals_lost", "won_amount", "invoiced", "paid", "debt", "overdue"),
            ),
            Block(
                "months", "Won by month", "Выиграно по месяцам",
                """select month, currency, sum(deals_won)::bigint as deals_won, sum(won_amount) as won_amount
                   from marts.manager_kpi_as_of(%(as_of)s)
                   where month > %(as_of)s::date - interval '12 months' and month <= %(as_of)s
                   group by month, currency order by month, currency""",
                ("month", "currency", "deals_won", "won_amount"), Months(("won_amount",)), ("deals_won", "won_amount"),
            ),
        ),
    ),
    Section(
        "marketing", "Marketing", "Маркетинг",
        "Where deals come from, and how many of them are won.", "Откуда приходят сделки и сколько из них выигрывают.",
        (
            Block(
                "sources", "Deals by lead source", "Сделки по источникам",
                """select lead_source, sum(deals)::bigint as cohort_deals,
                          coalesce(sum(deals) filter (where outcome = 'won'), 0)::bigint as cohort_won,
                          round(coalesce(sum(deals) filter (where outcome = 'won'), 0) / sum(deals), 4) as share_won
                   from marts.sales_funnel group by lead_source having sum(deals) > 0 order by sum(deals) desc, lead_source""",
                ("lead_source", "cohort_deals", "cohort_won", "share_won"), Bars("lead_source", ("cohort_deals",)),
                ("cohort_deals", "cohort_won"), is_now=True,
            ),
            Block(
                "source_money", "Won amount by lead source", "Сумма выигранных по источникам",
                """select lead_source, currency, sum(deals)::bigint as deals, sum(amount) as amount
                   from marts.sales_funnel where outcome = 'won' group by lead_source, currency having sum(deals) > 0
                   order by sum(amount) desc, lead_source, currency""",
                ("lead_source", "deals", "amount", "currency"), Bars("lead_source", ("amount",)), ("deals", "amount"), is_now=True,
            ),
        ),
    ),
    Section(
        "goods", "Goods", "Товары",
        "What sells, and what is bought together.", "Что продаётся и что покупают вместе.",
        (
            Block(
                "products", "Revenue by product: the last twelve months", "Выручка по товарам: двенадцать месяцев",
                """select product, unit, currency, sum(quantity) as quantity, sum(gross) as gross, sum(net) as net
                   from marts.revenue_by_product where month <= %(as_of)s and month > %(as_of)s::date - interval '12 months'
                   group by product_key, product, unit, currency order by sum(net) desc, product, currency""",
                ("product", "quantity", "unit", "gross", "net", "currency"), Bars("product", ("net",)), ("gross", "net"), limit=30,
            ),
            Block(
                "together", "Usually bought together", "Обычно покупают вместе",
                """select product, other, documents_with_both, confidence, lift from marts.bought_together_as_of(%(as_of)s)
                   order by lift desc, documents_with_both desc, product_key, other_key""",
                ("product", "other", "documents_with_both", "confidence", "lift"), limit=20,
            ),
        ),
    ),
    Section(
        "reconciliation", "Reconciliation", "Сверка",
        "Where the CRM and accounting differ, why, and what to do; each deal leads to its evidence.",
        "В чём расходятся CRM и учёт, почему и что делать; каждая сделка ведёт к своим основаниям.",
        (
            Block(
                "reasons", "Differences by reason", "Расхождения по причинам",
                """select reason, measure, currency, count(*) as variances, sum(amount) as amount, max(age_days) as age_days
                   from marts.variance group by reason, measure, currency order by count(*) desc, reason, measure, currency""",
                ("reason", "measure", "variances", "amount", "currency", "age_days"), None, ("variances", "amount"), is_now=True,
            ),
            Block(
                "variances", "Every difference, the largest first", "Все расхождения, сначала крупные",
                """select variance_number, reason, counterparty, deal_id, coalesce(deal, deal_id) as deal, number,
                          amount, currency, first_seen_on, owner, sentence, sentence_ru
                   from marts.variance order by abs(amount) desc, variance_key""",
                ("variance_number", "reason", "counterparty", "deal", "number", "amount", "currency", "owner", "sentence"),
                None, ("amount",), is_now=True, limit=60,
            ),
        ),
    ),
)  # fmt: skip
"""Where several currencies stand in one query, a row is of one of them: nothing here adds them up."""
