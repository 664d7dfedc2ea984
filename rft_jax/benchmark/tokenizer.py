"""A stand-in for Llama's tokenizer, which is not at hand: trained on GSM8K's text, digits apart as Llama has them.

It has as many rows as give Llama's lengths (PERFORMANCE.md: prompts of 101 tokens on average, responses of 131).
"""

from collections.abc import Sequence

import tokenizers

from rft_jax.records.problem import Problem
from rft_jax.task.prompt import training_text

BEGIN, END = 1, 2
_ROWS = 2300  # with fewer, prompts and responses are longer than Llama's, with more, shorter


def make(problems: Sequence[Problem]) -> tokenizers.Tokenizer:
    """Returns a tokenizer trained on the problems' training texts."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=_ROWS, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    made.train_from_iterator([training_text(each.question, each.response)[0] for each in problems], trainer)
    return made
