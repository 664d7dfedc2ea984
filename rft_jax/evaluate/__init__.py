"""How good a model is: accuracy by voting and by luck, with intervals, and two models on the same problems."""
