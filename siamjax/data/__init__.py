"""Training data: prepared or rendered records in, batches of training pairs out. NumPy only."""
