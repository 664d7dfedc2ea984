"""The embedded default: a small world of word problems in GSM8K's format, with a noisy corpus and a base model."""
