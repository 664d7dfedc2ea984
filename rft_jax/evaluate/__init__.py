"""How good a model is: maj1@k and pass@k with intervals, and beside other models."""
