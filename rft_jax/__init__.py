"""Rejection-sampling fine-tuning of language models on mathematical reasoning, in JAX and Flax."""

__version__ = "0.1.0"
