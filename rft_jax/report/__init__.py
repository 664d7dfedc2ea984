"""A one-page report on a run: its results beside the paper's figures, and how they came about."""
