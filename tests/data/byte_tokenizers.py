"""Byte-level tokenizers in which a test decides what is merged."""

from collections.abc import Sequence
from typing import Any

import tokenizers
import transformers

BEGIN, END = 1, 2


def byte_tokenizer(merges: Sequence[tuple[str, str]] = (), *, adds_begin: bool = True, adds_end: bool = False) -> Any:
    """Returns a tokenizer with a token per byte and per merge; 0 unknown, 1 begin, 2 end."""
    special = ["<unk>", "<s>", "</s>"]
    pieces = [*special, *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    model = tokenizers.models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=list(merges))
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(special)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{'<s> ' if adds_begin else ''}$A{' </s>' if adds_end else ''}",
        special_tokens=[("<s>", BEGIN), ("</s>", END)],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
