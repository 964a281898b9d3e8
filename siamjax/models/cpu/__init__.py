"""Forms of the networks' operations that are only faster on a CPU."""
