"""Which records are of one client: derived features, candidate pairs, scores, rules, clusters.

Features, keys, candidates, scores, rules and clusters are functions from tables to tables (`resolve`). The rest keeps them in
the database: `store`, `changed`, `pairing`, `membership` and `ids` bring it up to date with what changed, `decisions` writes
what people decide. What it was measured by stands in docs/identity.md and docs/decisions/0012.
"""
