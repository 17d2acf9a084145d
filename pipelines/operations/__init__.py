"""The operation ledger at work: what should be written (`plan`), and its writing (`carry`).

Every write to an outside system is a row of `ops.operation` first, with an identity computed from what
it is about, so that the same deal event can only ever be the same operation. `plan` turns planned
documents into operations; `carry` sends them, reads them back, compares, and settles what a crash or a
timeout left uncertain by asking the target, never by sending again.
"""
