"""Reports of scores: tables, plots and an HTML page."""
