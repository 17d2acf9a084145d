"""Which records are of one client: derived features, candidate pairs, scores, rules, clusters.

Pure functions from tables to tables; what they were measured by stands in docs/identity.md and docs/decisions/0012.
"""
