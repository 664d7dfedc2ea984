"""A stand-in for Llama's tokenizer, which is not at hand: trained on GSM8K's text, digits apart as Llama has them.

It has as many rows as give Llama's lengths (PERFORMANCE.md: prompts of 101 tokens on average, responses of 131).
"""

from collections.abc import Sequence

from rft_jax.data.encode import Encoder
from rft_jax.records.problem import Problem
from rft_jax.task.templates.paper import Paper, instruction

_ROWS = 2300  # with fewer, prompts and responses are longer than Llama's, with more, shorter


def encoder(problems: Sequence[Problem]) -> Encoder:
    """Returns an encoder of the paper's template, its tokenizer trained on the problems' prompts and responses."""
    import tokenizers
    import transformers

    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=_ROWS,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([instruction(each.question) + each.response for each in problems], trainer)
    loaded = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    return Encoder(loaded, Paper(), bos_tokens=(1,), eos_token=2, vocabulary=made.get_vocab_size())
