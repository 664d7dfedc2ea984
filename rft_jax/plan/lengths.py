"""How long GSM8K's prompts and responses are under Llama's tokenizer, as far as a plan needs to know."""

import numpy as np

from rft_jax.sample.capacity import Lengths

EXAMPLES = 7473  # of the training split
PREFIX = 29  # tokens that all prompts begin with
TOKENS = 232  # per example, prompt and response, on average

# Tokens at shares of the problems, in order of length; between them lengths are interpolated.
_SHARES = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)
_PROMPTS = (20, 38, 64, 110, 149, 245)  # without the prefix; 72 on average
_RESPONSES = (20, 60, 115, 208, 306, 476)  # 131 on average


def gsm8k(max_new: int) -> Lengths:
    """Returns the lengths to expect when the training problems are sampled from, cut at `max_new` tokens."""
    shares = np.linspace(0.0, 1.0, EXAMPLES)
    prompts = np.round(np.interp(shares, _SHARES, _PROMPTS)).astype(int)
    return Lengths(prompts, np.interp(shares, _SHARES, _RESPONSES), max_new)
