-- Products that are usually bought together, from the posted realizations of the days up to `as_of`.
-- A row is a pair in one direction: whoever bought the product bought the other too. A document counts once, whatever
-- its quantities, sums and currency. Pairs below the thresholds of `goods.bought_together` (docs/mappings.md) are left
-- out: 365 days, 3 documents, confidence 0.2, lift 1.
--
-- @owner sales-ops
-- @arguments as_of date
-- @column product_key text -- core.accounting_product: what was bought
-- @column code text -- its article
-- @column product text -- its name in accounting
-- @column other_key text -- core.accounting_product: what was bought with it
-- @column other_code text -- article of the other
-- @column other text -- name of the other
-- @column documents bigint -- realizations of the period that name any product
-- @column documents_with_product bigint -- of these, those that name the product
-- @column documents_with_other bigint -- those that name the other
-- @column documents_with_both bigint -- those that name both
-- @column support numeric -- documents_with_both / documents, 0..1
-- @column confidence numeric -- documents_with_both / documents_with_product: how often the other comes with it, 0..1
-- @column lift numeric -- confidence / (documents_with_other / documents): above 1 more often than by chance
-- @changed marts.goods_rule marts.revenue_line core.accounting_product
-- @rows
with bought as (
    select distinct l.document_key, l.product_key
    from marts.revenue_line l
    cross join marts.goods_rule r
    where l.product_key is not null and l.document_date <= as_of and l.document_date > as_of - r.bought_days
), whole as (
    select count(distinct document_key) as documents from bought
), products as (
    select product_key, count(*) as documents from bought group by product_key
), often as (
    -- a pair cannot stand on more documents than each of its products
    select b.document_key, b.product_key
    from bought b
    join products p on p.product_key = b.product_key
    where p.documents >= (select bought_documents from marts.goods_rule)
), together as (
    select a.product_key, b.product_key as other_key, count(*) as documents
    from often a
    join often b on b.document_key = a.document_key and b.product_key > a.product_key
    group by a.product_key, b.product_key
    having count(*) >= (select bought_documents from marts.goods_rule)
), pairs as (
    select product_key, other_key, documents from together
    union all
    select other_key, product_key, documents from together
), measured as (
    select p.product_key, p.other_key, w.documents, a.documents as with_product, b.documents as with_other,
           p.documents as with_both,
           p.documents::numeric / w.documents as support,
           p.documents::numeric / a.documents as confidence,
           p.documents::numeric * w.documents / (a.documents::numeric * b.documents) as lift
    from pairs p
    join products a on a.product_key = p.product_key
    join products b on b.product_key = p.other_key
    cross join whole w
)
select
    m.product_key,
    a.code,
    a.name as product,
    m.other_key,
    b.code as other_code,
    b.name as other,
    m.documents,
    m.with_product as documents_with_product,
    m.with_other as documents_with_other,
    m.with_both as documents_with_both,
    round(m.support, 4) as support,
    round(m.confidence, 4) as confidence,
    round(m.lift, 4) as lift
from measured m
cross join marts.goods_rule r
left join core.accounting_product a on a.product_key = m.product_key
left join core.accounting_product b on b.product_key = m.other_key
where m.confidence >= r.bought_confidence and m.lift >= r.bought_lift
