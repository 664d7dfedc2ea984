"""The world's tokenizer: a byte-level BPE trained on the world's texts, as a Hugging Face folder.

Being byte-level, it reads any text, so the base model also takes the real GSM8K. Every digit is a token of its own, and
each half of the instruction template is a single token, so a prompt costs two tokens more than its question.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from rft_jax.files import make_folder, whole_file
from rft_jax.task.templates.paper import instruction

PADDING, BOS, EOS = "<pad>", "<s>", "</s>"


def write_tokenizer(folder: Path, texts: Iterable[str], vocabulary: int, positions: int) -> int:
    """Trains the tokenizer, writes its files into `folder` and returns the number of its tokens.

    Args:
        folder: created if it does not exist.
        texts: questions and responses.
        vocabulary: largest number of tokens.
        positions: longest text for the model, in tokens.
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
        vocab_size=vocabulary - 2,
        special_tokens=[PADDING, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    halves = instruction("\0").split("\0")
    tokenizer.add_tokens([AddedToken(half, normalized=False, special=False) for half in halves])
    ids = {name: tokenizer.token_to_id(token) for name, token in (("bos", BOS), ("eos", EOS), ("pad", PADDING))}
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, ids["bos"])])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PADDING,
        "clean_up_tokenization_spaces": False,
        "model_max_length": positions,
    }
    make_folder(folder)
    with whole_file(folder / "tokenizer.json") as file:
        tokenizer.save(str(file))
    with whole_file(folder / "tokenizer_config.json") as file:
        file.write_text(json.dumps(settings, indent=1) + "\n")
    # A model exported with this tokenizer copies its special tokens from here.
    with whole_file(folder / "generation_config.json") as file:
        file.write_text(json.dumps({f"{name}_token_id": token for name, token in ids.items()}, indent=1) + "\n")
    return int(tokenizer.get_vocab_size())
