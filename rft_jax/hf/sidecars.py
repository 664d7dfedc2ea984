"""What lies beside the weights in a Hugging Face folder: the tokenizer's files and the generation settings."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf.config import CONFIG
from rft_jax.hf.fields import read_json, shown, write_json

GENERATION = "generation_config.json"
PROMPT_FORMAT = "prompt_format.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
_CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")

# The tokenizer proper, any one of them suffices; and what may go with it.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_WITH_TOKENIZER = (
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *_CHAT_TEMPLATES,
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


def write_generation(folder: Path, source: Path | None, ids: dict[str, Any], prompt: "PromptSidecar | None") -> None:
    """Writes generation_config.json: the source's, if it has one, else one with the special tokens' numbers `ids`.

    What ends a text is as `prompt` says, if the model was trained to be asked in some way.
    """
    if source is not None and (source / GENERATION).exists():
        shutil.copyfile(source / GENERATION, folder / GENERATION)
    else:
        write_json(folder / GENERATION, {"_from_model_config": True, **ids})
    fields = read_json(folder / GENERATION)
    if prompt is not None and fields | prompt.token_ids != fields:
        write_json(folder / GENERATION, fields | prompt.token_ids)


@dataclasses.dataclass(frozen=True)
class PromptSidecar:
    """How a model is asked, as it lies beside the weights: for us, and for transformers and vLLM.

    Attributes:
        prompt_format: of prompt_format.json.
        chat_template: of the tokenizer.
        ends: numbers of the tokens that end a text.
    """

    prompt_format: dict[str, Any]
    chat_template: str
    ends: tuple[int, ...]

    @property
    def token_ids(self) -> dict[str, Any]:
        """The special tokens' numbers for config.json and generation_config.json."""
        return {"eos_token_id": self.ends[0] if len(self.ends) == 1 else list(self.ends)}

    def write(self, folder: Path) -> None:
        """Writes prompt_format.json, and the chat template into the tokenizer's settings that are there."""
        write_json(folder / PROMPT_FORMAT, self.prompt_format)
        settings = folder / TOKENIZER_CONFIG
        fields = read_json(settings) if settings.exists() else {}
        for other in _CHAT_TEMPLATES:  # transformers would take these first
            (folder / other).unlink(missing_ok=True)
        # With the clean-up, transformers would turn a response's `#### .5` into `####.5`.
        write_json(settings, fields | {"chat_template": self.chat_template, "clean_up_tokenization_spaces": False})
