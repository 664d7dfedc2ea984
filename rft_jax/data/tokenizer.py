"""Loading a tokenizer: transformers' own, from the model's folder, never from the network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf import sentencepiece, sidecars
from rft_jax.hf.config import read_json

_JSON, _CONFIG = "tokenizer.json", sidecars.TOKENIZER_CONFIG
# What transformers would otherwise trip over later, or not at all.
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "tokenizer_class": str,
    "model_max_length": (int, float),
    "chat_template": (str, list, dict),
}
# A text on which tokenizers of other kinds differ.
_PROBE = "x The answer:\n\n12 + 3 = (15), don't £5 é"


def load(folder: str | Path) -> Any:
    """Returns the tokenizer of a Hugging Face folder (a transformers PreTrainedTokenizerBase).

    Raises:
        UserError: there is no such folder or no tokenizer in it, a file is broken, or transformers cannot read it, or
            reads something else than the files say.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no model folder {folder}")
    files = [file.name for file in sidecars.tokenizer_files(folder)]
    for name in files:
        if name.endswith(".json"):
            _check_json(folder / name)
    pieces = sentencepiece.read(folder) if sentencepiece.stands_alone(folder) else None
    import tokenizers
    import transformers  # seconds to import, and commands that fail earlier need not wait for it

    _check_class(folder)
    try:
        # Code that lies in the folder is never run; without the flag transformers would ask on the terminal.
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        as_written = tokenizers.Tokenizer.from_file(str(folder / _JSON)) if _rebuilt(tokenizer, files) else None
    except Exception as error:  # transformers raises many kinds, with texts of many lines
        reason = str(error).strip().splitlines()[:1]
        raise UserError(
            f"transformers cannot read the tokenizer in {folder}: {' '.join(reason)}; copy its files again from the "
            "base model"
        ) from error
    if pieces is not None:
        sentencepiece.order_merges_by_score(tokenizer, pieces)
        _check_same_tokens(tokenizer, pieces.encode(_PROBE), folder / sentencepiece.FILE, "LlamaTokenizer")
    elif as_written is not None:
        expected = as_written.encode(_PROBE, add_special_tokens=False).ids
        _check_same_tokens(tokenizer, expected, folder / _JSON, "PreTrainedTokenizerFast")
    return tokenizer


def _rebuilt(tokenizer: Any, files: Sequence[str]) -> bool:
    """Whether a class of its own made the tokenizer from parts of tokenizer.json, not from the whole of it."""
    import transformers

    return _JSON in files and type(tokenizer) is not transformers.PreTrainedTokenizerFast


def _check_json(file: Path) -> None:
    fields = read_json(file)
    if file.name == _CONFIG:
        for name, kind in _FIELDS.items():
            if fields.get(name) is not None and not isinstance(fields[name], kind):
                raise UserError(f"{file}: {name} cannot be {fields[name]!r:.40}; take it from the base model's")


def _check_class(folder: Path) -> None:
    """Refuses a class that transformers does not know: it would take another one without a word."""
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    if not (folder / _CONFIG).exists():
        return
    fields = read_json(folder / _CONFIG)
    name = fields.get("tokenizer_class")
    if name is not None and tokenizer_class_from_name(name) is None:
        if isinstance(own := fields.get("auto_map"), dict) and own.get("AutoTokenizer"):
            raise UserError(
                f"{folder / _CONFIG} says that the tokenizer is code of its own ('{name}', for trust_remote_code), "
                f"which is never run here: set tokenizer_class to PreTrainedTokenizerFast, which takes {_JSON} as it is"
            )
        raise UserError(
            f"{folder / _CONFIG} names the tokenizer_class '{name}', which this transformers does not know: install a "
            f"newer one, or set it to PreTrainedTokenizerFast, which takes {_JSON} as it is"
        )


def _check_same_tokens(tokenizer: Any, expected: Sequence[int], file: Path, right_class: str) -> None:
    """Refuses a class that makes other tokens than its file says: many take the vocabulary alone from it."""
    try:
        same = tokenizer(_PROBE, add_special_tokens=False)["input_ids"] == expected
    except Exception:  # a vocabulary without the pieces that the class takes for granted
        same = False
    if not same:
        raise UserError(
            f"the tokenizer_class {type(tokenizer).__name__} makes other tokens than {file} says: set tokenizer_class "
            f"in {_CONFIG} to {right_class}"
        )
