"""Stand-ins of accounting systems, one module or folder each; `sandbox/books.py` says what one offers."""
