"""The whole loop: stages in their own processes, each skipped when it is done and resumed where it was killed."""
