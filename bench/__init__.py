"""The benchmarks, beside their results. Each module is a command: python -m bench.NAME."""
