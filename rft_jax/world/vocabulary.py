"""The world's tokenizer: a byte-level BPE whose merges are the world's words, as a Hugging Face folder.

Bytes make it read any text, so the base model takes real GSM8K as well. A digit is always a token of its own, and each
half of the instruction template is one token: a prompt costs its question and two.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from rft_jax.files import make_folder, whole_file
from rft_jax.task.templates.paper import instruction

PADDING, BEGIN, END = "<pad>", "<s>", "</s>"


def write_tokenizer(folder: Path, texts: Iterable[str], size: int, positions: int) -> int:
    """Trains the tokenizer, writes its files into `folder` and returns its number of tokens.

    Args:
        folder: made if it does not exist.
        texts: questions and responses.
        size: the most tokens to have.
        positions: the longest text the model will be made for, in tokens.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 2,
        special_tokens=[PADDING, BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    halves = instruction("\0").split("\0")
    tokenizer.add_tokens([AddedToken(half, normalized=False, special=False) for half in halves])
    numbers = {name: tokenizer.token_to_id(token) for name, token in (("bos", BEGIN), ("eos", END), ("pad", PADDING))}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, numbers["bos"])]
    )
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PADDING,
        "clean_up_tokenization_spaces": False,
        "model_max_length": positions,
    }
    make_folder(folder)
    with whole_file(folder / "tokenizer.json") as file:
        tokenizer.save(str(file))
    with whole_file(folder / "tokenizer_config.json") as file:
        file.write_text(json.dumps(settings, indent=1) + "\n")
    # A model that takes its tokenizer from here takes the numbers of its special tokens along.
    with whole_file(folder / "generation_config.json") as file:
        file.write_text(json.dumps({f"{name}_token_id": number for name, number in numbers.items()}, indent=1) + "\n")
    return int(tokenizer.get_vocab_size())
