"""The benchmarks' performance measures: pure functions of boxes and regions. NumPy only."""
