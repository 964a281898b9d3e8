"""What is computed from boxes: each benchmark's measures. NumPy only."""
