"""From records on disk, or rendered ones, to batches of training pairs. NumPy only."""
