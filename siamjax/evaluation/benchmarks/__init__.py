"""The benchmarks: protocols, folder layouts, sequences and ground truth."""
