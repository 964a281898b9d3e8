"""The jitted tracking step and the classes over it."""
