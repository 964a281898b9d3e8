"""Scores as tables, plots and a page."""
