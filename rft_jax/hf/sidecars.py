"""What lies beside the weights in a Hugging Face folder: the tokenizer's files and the generation settings."""

import shutil
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf.config import CONFIG
from rft_jax.hf.fields import read_json, shown, write_json

GENERATION = "generation_config.json"
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")

# The tokenizer proper, any one of them suffices; and what may go with it.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_WITH_TOKENIZER = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)


def tokenizer_files(folder: Path) -> list[Path]:
    """Returns the files of a folder's tokenizer.

    Raises:
        UserError: there is no tokenizer.
    """
    if not any((folder / name).exists() for name in _TOKENIZERS):
        raise UserError(f"{folder} has no tokenizer: none of {', '.join(_TOKENIZERS)}; copy them from the base model")
    return [folder / name for name in (*_TOKENIZERS, *_WITH_TOKENIZER) if (folder / name).exists()]


def token_ids(folder: Path, files: tuple[str, ...] = (GENERATION, CONFIG)) -> dict[str, Any]:
    """Returns the special tokens' numbers that a folder's settings give; a later file wins over an earlier one."""
    found: dict[str, Any] = {}
    for name in files:
        if (folder / name).exists():
            fields = read_json(folder / name)
            found |= {name: fields[name] for name in _TOKEN_IDS if fields.get(name) is not None}
    return found


def check_token_ids(ids: dict[str, Any], vocabulary: int, where: str = f"{CONFIG} or {GENERATION}") -> None:
    """Checks that special tokens' numbers are tokens of the model.

    Args:
        ids: a number or a list of numbers by name, as `token_ids` gives them.
        vocabulary: V, of the model.
        where: the file or folder that gives them, for the message.

    Raises:
        UserError: one is not a whole number from 0 to V - 1. A pad_token_id of -1 is none, as in Llama 1's files.
    """
    for name, given in ids.items():
        for token in given if isinstance(given, list) else [given]:
            if name == "pad_token_id" and token == -1:
                continue
            if type(token) is not int or not 0 <= token < vocabulary:
                raise UserError(
                    f"{where}: {name} is {shown(token)}, and the model's tokens are 0 to {vocabulary - 1}; correct it"
                )


def end_tokens(folder: str | Path) -> tuple[int, ...]:
    """Returns the numbers of the tokens that end a text.

    Raises:
        UserError: neither file gives any, or what they give are no numbers.
    """
    # The generation settings win: Llama 3's instruction models list there all the tokens that end a turn.
    ids = token_ids(Path(folder), (CONFIG, GENERATION)).get("eos_token_id")
    ids = ids if isinstance(ids, list) else [] if ids is None else [ids]
    if not ids or any(type(number) is not int for number in ids):
        raise UserError(f"{folder}: neither {GENERATION} nor {CONFIG} gives an eos_token_id; add it to {CONFIG}")
    return tuple(ids)


def write_generation(folder: Path, source: Path | None, ids: dict[str, Any]) -> None:
    """Copies the source's generation_config.json into a folder, or writes one with the special tokens' numbers."""
    if source is not None and (source / GENERATION).exists():
        shutil.copyfile(source / GENERATION, folder / GENERATION)
    else:
        write_json(folder / GENERATION, {"_from_model_config": True, **ids})
