"""What a model is asked and how its answer is judged: prompts, answers, equations. No JAX."""
