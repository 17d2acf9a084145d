"""What is expected of the tables: Great Expectations suites as YAML, one a table, and what applies them."""

from expectations.gate import CheckResult, Example, GateError, validate
from expectations.suite import Expectation, Suite, SuiteError, fingerprint, suites

__all__ = [
    "CheckResult",
    "Example",
    "Expectation",
    "GateError",
    "Suite",
    "SuiteError",
    "fingerprint",
    "suites",
    "validate",
]
