"""Test problems that are among the training problems or in a corpus, word for word or changed. No JAX."""
