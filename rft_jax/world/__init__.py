"""The embedded default: a small world of word problems in GSM8K's format, its noisy corpus and its base model."""
