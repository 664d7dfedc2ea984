"""Small tokenizers of every kind that models come with, trained in a moment on the world's problems.

Each is written as a model's folder holds it, tokenizer.json and tokenizer_config.json, so that a bare clone without any
download tests what real tokenizers do to text.
"""

import collections
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from rft_jax.world import generate
from tests import chat_templates

# Qwen 2's pattern: every digit apart, and one character that is no letter may begin a word, so `:The` is one word.
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CHATML_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_LLAMA_SPECIAL = ["<unk>", "<s>", "</s>"]


@functools.cache
def corpus() -> tuple[str, ...]:
    """Returns what the tokenizers are trained on."""
    rows = generate.corpus(400, seed=0, drills=0.2)
    return tuple(f"{row.question}\n\n### Response:The answer: {row.response}" for row in rows)


def _byte_level(split: pre_tokenizers.PreTokenizer, special: list[str]) -> tokenizers.Tokenizer:
    """Returns a byte-level BPE without a post-processor, its special tokens first."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = split
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(corpus(), trainer)
    return made


def _qwen_split() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_QWEN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _digits_apart() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def _llama_model() -> str:
    """Returns a BPE over `▁` and characters, which falls back to bytes, as JSON with vocabulary and merges."""
    trained = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace()]
    )
    bytes_first = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=[*_LLAMA_SPECIAL, *bytes_first], show_progress=False)
    # Line by line: a newline is a byte, as in Llama's vocabulary.
    trained.train_from_iterator((line for text in corpus() for line in text.splitlines()), trainer)
    return json.dumps(json.loads(trained.to_str())["model"])


def _llama(*, prepend_everywhere: bool, template: str = "<s> $A") -> tokenizers.Tokenizer:
    model = json.loads(_llama_model())
    made = tokenizers.Tokenizer(
        models.BPE(
            model["vocab"],
            [tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    made.add_special_tokens(_LLAMA_SPECIAL)
    if prepend_everywhere:  # behind each special token as well: how Llama 1's and 2's tokenizer.json is written
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", left=1)]
    )
    made.post_processor = around(made, template)
    return made


def around(made: tokenizers.Tokenizer, template: str) -> processors.TemplateProcessing:
    special = [(word, made.token_to_id(word)) for word in template.split() if word != "$A"]
    return processors.TemplateProcessing(single=template, pair=f"{template} $B", special_tokens=special)


def write(folder: Path, made: tokenizers.Tokenizer, **config: Any) -> None:
    """Writes a tokenizer as the folder of a model holds it.

    Args:
        folder: to write to, made if need be.
        made: the tokenizer.
        config: fields of tokenizer_config.json; without tokenizer_class, tokenizer.json is taken as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    fields = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(fields), encoding="utf-8")


def _qwen(folder: Path) -> None:
    made = _byte_level(_qwen_split(), _CHATML_SPECIAL)
    made.normalizer = normalizers.NFC()
    # As Qwen 2.5's: these are no special tokens, and yet never text.
    made.add_tokens(["<tool_call>", "</tool_call>"])
    write(folder, made, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=chat_templates.CHATML)


def _begin_known(folder: Path) -> None:
    made = _byte_level(_digits_apart(), _CHATML_SPECIAL)
    write(folder, made, bos_token="<|im_start|>", eos_token="<|im_end|>", chat_template=chat_templates.CHATML)


def _both_added(folder: Path) -> None:
    made = _byte_level(_qwen_split(), ["<s>", "</s>"])
    made.post_processor = around(made, "<s> $A </s>")
    write(folder, made, bos_token="<s>", eos_token="</s>", clean_up_tokenization_spaces=True)


def _end_added(folder: Path) -> None:
    made = _byte_level(_qwen_split(), ["<s>", "</s>"])
    made.post_processor = around(made, "$A </s>")
    write(folder, made, eos_token="</s>")


def _prefix_space(folder: Path) -> None:
    made = _byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), ["<s>", "</s>"])
    made.post_processor = around(made, "<s> $A")
    write(folder, made, bos_token="<s>", eos_token="</s>")


def _cuts_and_pads(folder: Path) -> None:
    made = _byte_level(_digits_apart(), ["<s>", "</s>"])
    made.post_processor = around(made, "<s> $A")
    made.enable_truncation(8)
    made.enable_padding(length=8, pad_id=1, pad_token="</s>")
    write(folder, made, bos_token="<s>", eos_token="</s>", pad_token="</s>")


_LLAMA_CONFIG: dict[str, Any] = {
    "tokenizer_class": "LlamaTokenizer",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "chat_template": chat_templates.LLAMA2,
}


def _llama2(folder: Path) -> None:
    write(folder, _llama(prepend_everywhere=False), **_LLAMA_CONFIG, legacy=False)


def _llama2_legacy(folder: Path) -> None:
    config = _LLAMA_CONFIG | {"tokenizer_class": "PreTrainedTokenizerFast"}
    write(folder, _llama(prepend_everywhere=True), **config)


def _llama2_end_added(folder: Path) -> None:
    made = _llama(prepend_everywhere=True, template="<s> $A </s>")
    write(folder, made, **_LLAMA_CONFIG, legacy=True, add_bos_token=True, add_eos_token=True)


def _wordpiece(folder: Path) -> None:
    # Not trained: tokenizers' trainer makes another vocabulary each time.
    words = collections.Counter(word for text in corpus() for word in re.findall(r"[a-z]+", text.lower()))
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1) if not chr(code).isupper()]
    frequent = [word for word, _ in sorted(words.most_common(400)) if len(word) > 1]
    vocabulary = ["[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters), *frequent]
    made = tokenizers.Tokenizer(
        models.WordPiece({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    made.add_special_tokens(["[UNK]", "[CLS]", "[SEP]"])
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = around(made, "[CLS] $A [SEP]")
    write(folder, made, bos_token="[CLS]", eos_token="[SEP]", unk_token="[UNK]")


WRITERS: dict[str, Callable[[Path], None]] = {
    "qwen-like": _qwen,
    "begin-known": _begin_known,
    "both-added": _both_added,
    "end-added": _end_added,
    "prefix-space": _prefix_space,
    "cuts-and-pads": _cuts_and_pads,
    "llama2-like": _llama2,
    "llama2-like-legacy": _llama2_legacy,
    "llama2-like-end-added": _llama2_end_added,
    "wordpiece": _wordpiece,
}
