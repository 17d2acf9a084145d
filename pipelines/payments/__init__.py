"""Which document a payment pays where accounting does not say: what people decide, and what a score proposes.

`decisions` keeps what people say; `matching` scores pairs of payments and documents by a frozen model of `models/`;
`proposals` fills `ledger.payment_proposal`; `calibration` measures on the company's own payments how often the score is
right, without which it decides nothing.
"""
