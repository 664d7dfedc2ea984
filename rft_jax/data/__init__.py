"""Text to tokens, tokens to batches; every batch is a function of the seed and the step."""
