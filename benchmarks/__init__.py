"""What speed is promised, measured: `python -m benchmarks [names] [--quick]`."""
