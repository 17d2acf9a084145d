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
                     and (currency is not null or deals_won + deals_lost > 0)
                   group by currency order by sum(won_amount) desc""",
                ("deals_won", "won_amount", "invoiced", "paid"), is_tiles=True,
            ),
            Block(
                "revenue", "Revenue by month, less what was taken back", "Выручка по месяцам за вычетом возвратов",
                """select date_trunc('month', document_date)::date as month, currency,
                          count(*) filter (where kind = 'realization') as documents, sum(gross) as gross, sum(vat) as vat, sum(net) as net
                   from marts.sale_profit
                   where document_date <= %(as_of)s
                     and date_trunc('month', document_date) > %(as_of)s::date - interval '24 months'
                   group by 1, currency order by 1, currency""",
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
                "call_today", "Whom to call", "Кому звонить",
                """select buyer, phone, manager, reason, debt, days_overdue, currency, sentence, sentence_ru
                   from marts.call_today_as_of(%(as_of)s) order by position, currency, buyer_key, counterparty_key""",
                ("buyer", "phone", "manager", "reason", "debt", "days_overdue", "currency", "sentence"), None, ("debt",), limit=20,
            ),
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
                "days_of_sales", "For how many days of sales the debt stands", "За сколько дней продаж накопился долг",
                """select subject as manager, debt, overdue_share, sales, days_sales_outstanding, currency
                   from marts.debt_turnover_as_of(%(as_of)s) where level = 'manager' order by debt desc, subject, currency""",
                ("manager", "debt", "overdue_share", "sales", "days_sales_outstanding", "currency"),
                Bars("manager", ("days_sales_outstanding",)),
            ),
            Block(
                "invoices", "Documents that are not paid, the oldest first", "Неоплаченные документы, сначала давние",
                """select counterparty, client, manager, deal_id, deal, document_key, kind, number, document_date, due_on, amount,
                          paid, debt, currency, days_overdue
                   from marts.receivables_as_of(%(as_of)s) order by days_overdue desc, debt desc, document_key""",
                ("counterparty", "manager", "deal", "kind", "number", "due_on", "amount", "paid", "debt", "currency", "days_overdue"),
                None, ("amount", "paid", "debt"), limit=60,
            ),
        ),
    ),
    Section(
        "funnel", "Funnel", "Воронка",
        "How far deals get, stage by stage.", "Докуда доходят сделки, стадия за стадией.",
        (
            Block(
                "stages", "Stages, all months together", "Стадии, все месяцы вместе",
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
                "stage_days", "How long deals stay in a stage", "Сколько сделки стоят на стадии",
                """select concat_ws(' ', source, pipeline_code) as pipeline, coalesce(stage, stage_code) as stage,
                          sum(entered)::bigint as entered, sum(went_on)::bigint as went_on, sum(went_back)::bigint as went_back,
                          sum(lost)::bigint as lost, sum(here)::bigint as here,
                          round(sum(average_days * timed) / nullif(sum(timed), 0), 1) as average_days
                   from marts.stage_flow_as_of(%(as_of)s)
                   group by source, pipeline_code, stage_position, coalesce(stage, stage_code)
                   order by source, pipeline_code, stage_position""",
                ("pipeline", "stage", "entered", "went_on", "went_back", "lost", "here", "average_days"),
                Bars("stage", ("average_days",), apart="pipeline"),
            ),
            Block(
                "stuck", "Stuck and forgotten deals", "Застрявшие и забытые сделки",
                """select deal_id, deal, why, stage, manager, amount, currency, days, usual_days, sentence, sentence_ru
                   from marts.stuck_deal_as_of(%(as_of)s) order by amount desc nulls last, deal_id, why""",
                ("deal", "why", "stage", "manager", "amount", "currency", "days", "usual_days", "sentence"), None, ("amount",), limit=30,
            ),
            Block(
                "loss_reasons", "Why deals were lost", "Почему сделки проиграны",
                """select loss_reason, currency, sum(deals)::bigint as deals, sum(amount) as amount from marts.loss_reason
                   group by loss_reason, currency order by sum(deals) desc, loss_reason, currency""",
                ("loss_reason", "deals", "amount", "currency"), Bars("loss_reason", ("deals",)), ("deals", "amount"), is_now=True,
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
                "rating", "Rating", "Рейтинг",
                """select manager, rating, deals_won, conversion, won_amount, revenue, margin, paid, overdue, activities, currency
                   from marts.manager_rating_as_of(%(as_of)s) order by rating desc nulls last, currency, manager""",
                ("manager", "rating", "deals_won", "conversion", "won_amount", "revenue", "margin", "paid", "overdue", "activities",
                 "currency"),
                Bars("manager", ("rating",)), ("deals_won", "won_amount", "revenue", "paid", "overdue"),
            ),
            Block(
                "activities", "Calls, letters and meetings: the last twelve months", "Звонки, письма и встречи: двенадцать месяцев",
                """select manager, sum(calls)::bigint as calls, sum(letters)::bigint as letters, sum(meetings)::bigint as meetings,
                          sum(activities)::bigint as activities
                   from marts.manager_activity
                   where happened_on <= %(as_of)s and happened_on > %(as_of)s::date - interval '12 months'
                   group by employee_id, manager order by sum(activities) desc, manager, employee_id""",
                ("manager", "calls", "letters", "meetings", "activities"), Bars("manager", ("calls", "letters", "meetings")),
                ("calls", "letters", "meetings", "activities"),
            ),
            Block(
                "won", "Won, invoiced, paid and owed: the last twelve months",
                "Выиграно, выставлено, оплачено, не оплачено: год",
                """select manager, currency, sum(deals_won)::bigint as deals_won, sum(deals_lost)::bigint as deals_lost,
                          sum(won_amount) as won_amount,
                          round(sum(deals_won) / nullif(sum(deals_won + deals_lost), 0), 4) as conversion,
                          sum(invoiced) as invoiced, sum(paid) as paid, sum(debt) as debt, sum(overdue) as overdue
                   from marts.manager_kpi_as_of(%(as_of)s) where month > %(as_of)s::date - interval '12 months'
                     and (currency is not null or deals_won + deals_lost > 0)
                   group by manager, currency order by sum(won_amount) desc, manager, currency""",
                ("manager", "deals_won", "deals_lost", "conversion", "won_amount", "invoiced", "paid", "debt", "overdue", "currency"),
                Bars("manager", ("won_amount",)), ("deals_won", "deals_lost", "won_amount", "invoiced", "paid", "debt", "overdue"),
            ),
            Block(
                "months", "Won by month", "Выиграно по месяцам",
                """select month, currency, sum(deals_won)::bigint as deals_won, sum(won_amount) as won_amount
                   from marts.manager_kpi_as_of(%(as_of)s)
                   where month > %(as_of)s::date - interval '12 months' and month <= %(as_of)s
                     and (currency is not null or deals_won + deals_lost > 0)
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
                "roi", "What marketing brought for what it cost: the last twelve months",
                "Что принёс маркетинг и сколько стоил: двенадцать месяцев",
                """select lead_source, campaign, currency, sum(spend) as spend, sum(leads)::bigint as leads, sum(won)::bigint as won,
                          sum(new_clients)::bigint as new_clients, sum(revenue) as revenue,
                          round(sum(spend) / nullif(sum(leads), 0), 2) as cost_per_lead,
                          round(sum(spend) / nullif(sum(new_clients), 0), 2) as cac,
                          case when count(margin) > 0 and bool_and(margin is not null or revenue = 0)
                               then round((sum(margin) - sum(spend)) / nullif(sum(spend), 0), 4) end as roi
                   from marts.marketing_roi_as_of(%(as_of)s) where month > %(as_of)s::date - interval '12 months'
                   group by lead_source, campaign, currency having sum(spend) > 0
                   order by sum(spend) desc, lead_source, campaign, currency""",
                ("lead_source", "campaign", "spend", "leads", "won", "new_clients", "revenue", "cost_per_lead", "cac", "roi", "currency"),
                Bars("lead_source", ("spend",)), ("spend", "leads", "won", "new_clients", "revenue"),
            ),
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
                "products", "Revenue by product, returns not taken off: the last twelve months",
                "Выручка по товарам, возвраты не вычтены: двенадцать месяцев",
                """select p.name as product, u.name as unit, l.currency, sum(l.quantity) as quantity, sum(l.gross) as gross,
                          sum(l.net) as net
                   from marts.revenue_line l
                   left join core.accounting_product p on p.product_key = l.product_key
                   left join core.accounting_unit u on u.unit_key = p.unit_key
                   where l.document_date <= %(as_of)s
                     and date_trunc('month', l.document_date) > %(as_of)s::date - interval '12 months'
                   group by l.product_key, p.name, u.name, l.currency order by sum(l.net) desc, p.name, l.currency""",
                ("product", "quantity", "unit", "gross", "net", "currency"), Bars("product", ("net",)), ("gross", "net"), limit=30,
            ),
            Block(
                "classes", "Classes of products: ABC and XYZ", "Классы товаров: ABC и XYZ",
                """select abc || coalesce(xyz, '–') as abc_xyz, currency, count(*) as products, sum(revenue) as revenue,
                          sum(revenue_share) as revenue_share
                   from marts.product_abc_xyz_as_of(%(as_of)s) where abc is not null group by abc, xyz, currency
                   order by currency, abc, xyz""",
                ("abc_xyz", "products", "revenue", "revenue_share", "currency"), Bars("abc_xyz", ("revenue",)), ("products", "revenue"),
            ),
            Block(
                "class_of_products", "Each product's class", "Класс каждого товара",
                """select product, abc, xyz, bcg, moved, revenue, revenue_share, growth, currency
                   from marts.product_abc_xyz_as_of(%(as_of)s) where abc is not null order by revenue desc, product, currency""",
                ("product", "abc", "xyz", "bcg", "moved", "revenue", "revenue_share", "growth", "currency"), None, ("revenue",), limit=40,
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
        "clients", "Clients", "Клиенты",
        "Who is worth how much, and who falls silent.", "Чего стоит каждый клиент и кто перестаёт покупать.",
        (
            Block(
                "segments", "Segments: how lately, often and much they buy", "Сегменты: как давно, часто и много покупают",
                """select segment, currency, count(*) as clients_counted, sum(monetary) as monetary
                   from marts.client_rfm_as_of(%(as_of)s) where segment is not null group by segment, currency
                   order by sum(monetary) desc, segment, currency""",
                ("segment", "clients_counted", "monetary", "currency"), Bars("segment", ("monetary",)), ("clients_counted", "monetary"),
            ),
            Block(
                "worth", "What each is worth", "Чего стоит каждый",
                """select buyer, revenue, margin, expected_margin, value, months, months_bought, currency
                   from marts.client_value_as_of(%(as_of)s) order by revenue desc, buyer_key, currency""",
                ("buyer", "revenue", "margin", "expected_margin", "value", "months", "months_bought", "currency"),
                Bars("buyer", ("revenue",)), ("revenue",), limit=30,
            ),
        ),
    ),
    Section(
        "forecast", "Forecast", "Прогноз",
        "What buyers are expected to pay, and how wrong such forecasts were before.",
        "Сколько заплатят покупатели и насколько ошибались такие прогнозы прежде.",
        (
            Block(
                "foretold", "Payments that came, and those foretold", "Оплаты: факт и прогноз",
                """with foretold as (select month, currency, min(amount) filter (where method = 'theta') as amount,
                                           min(amount) filter (where method = 'naive') as naive_amount
                                    from marts.sales_forecast where is_latest group by month, currency),
                     came as (select month, currency, paid as actual from marts.paid_by_month
                              where month > %(as_of)s::date - interval '12 months'),
                     -- A month without payments brought 0; of a month to come nobody knows yet.
                     past as (select g.month::date as month, s.currency
                              from (select currency, min(month) as since from came group by currency) s
                              cross join lateral generate_series(
                                  s.since, date_trunc('month', %(as_of)s::date)::date, interval '1 month') g(month))
                   select month, currency, case when p.month is not null then coalesce(c.actual, 0) end as actual, f.amount, f.naive_amount
                   from past p left join came c using (month, currency) full join foretold f using (month, currency)
                   where p.month is not null or f.amount is not null or f.naive_amount is not null
                   order by month, currency""",
                ("month", "currency", "actual", "amount", "naive_amount"), Months(("actual", "amount", "naive_amount"), has_gaps=True),
                is_now=True,
            ),
            Block(
                "backtest", "How wrong each method was, one month ahead", "Насколько ошибался каждый метод, на месяц вперёд",
                """select method, origins, mean_absolute_error, naive_absolute_error, share_of_actual, skill, currency, reason, reason_ru
                   from marts.sales_forecast where is_latest and horizon = 1 and method <> 'pipeline'
                   order by max(origins) over (partition by currency) desc, currency, skill desc nulls last, method""",
                ("method", "origins", "mean_absolute_error", "naive_absolute_error", "share_of_actual", "skill", "currency", "reason"),
                is_now=True,
            ),
            Block(
                "methods", "Methods side by side", "Методы рядом",
                """select month, method, amount, mean_absolute_error, share_of_actual, skill, currency, reason, reason_ru
                   from marts.sales_forecast where is_latest and (amount is not null or horizon = 1)
                   order by max(origins) over (partition by currency) desc, currency, month, method""",
                ("month", "method", "amount", "mean_absolute_error", "share_of_actual", "skill", "currency", "reason"),
                is_now=True, limit=60,
            ),
            Block(
                "open_deals", "Open deals and what they are worth by their stage", "Открытые сделки и чего они стоят на своей стадии",
                """select deal_id, deal, stage, manager, amount, chance, expected_amount, expected_on, currency
                   from marts.open_pipeline_as_of(%(as_of)s) order by expected_amount desc nulls last, amount desc, deal_id""",
                ("deal", "stage", "manager", "amount", "chance", "expected_amount", "expected_on", "currency"), None,
                ("amount", "expected_amount"), limit=40,
            ),
        ),
    ),
    Section(
        "reconciliation", "Reconciliation", "Сверка",
        "Where the CRM and accounting differ, why, and what to do; each deal, and each document without one, leads to its evidence.",
        "В чём расходятся CRM и учёт, почему и что делать; каждая сделка и каждый документ без сделки ведут к своим основаниям.",
        (
            Block(
                "reasons", "Differences by reason", "Расхождения по причинам",
                """select reason, measure, currency, count(*) as variances, sum(amount) as amount, max(age_days) as age_days
                   from marts.variance group by reason, measure, currency order by count(*) desc, reason, measure, currency""",
                ("reason", "measure", "variances", "amount", "currency", "age_days"), None, ("variances",), is_now=True,
            ),
            Block(
                "variances", "Every difference, the largest first", "Все расхождения, сначала крупные",
                """select variance_number, reason, counterparty, deal_id, coalesce(deal, deal_id) as deal, document_key, number,
                          amount, currency, first_seen_on, owner, sentence, sentence_ru
                   from marts.variance order by abs(amount) desc, variance_key""",
                ("variance_number", "reason", "counterparty", "deal", "number", "amount", "currency", "owner", "sentence"),
                is_now=True, limit=60,
            ),
        ),
    ),
)  # fmt: skip
"""Where several currencies stand in one query, a row is of one of them: nothing here adds them up."""
