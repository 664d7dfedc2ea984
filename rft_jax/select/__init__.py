"""The selector: from sampled paths to a training set. Pure Python, no JAX."""
