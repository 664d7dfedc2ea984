"""The KV cache of sampling: what it holds, reading prompts, decoding a step, flushing the current pages."""
