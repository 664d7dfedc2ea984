"""Several processes that are one run: who they are, that they agree, and that they end together."""
