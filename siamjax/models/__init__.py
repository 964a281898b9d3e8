"""The networks: Linen modules and pure functions."""
