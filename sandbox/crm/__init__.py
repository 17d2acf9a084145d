"""The vendors' CRMs, a module each; `sandbox.office` says what it must have."""
