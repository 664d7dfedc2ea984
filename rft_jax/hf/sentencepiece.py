"""A tokenizer.model without a tokenizer.json: read, and exported, so that all make the tokens of sentencepiece."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError

FILE = "tokenizer.model"
_JSON = "tokenizer.json"


def stands_alone(folder: Path) -> bool:
    """Tells whether a folder's tokenizer is sentencepiece's file alone, as Llama 2's first ones."""
    return (folder / FILE).exists() and not (folder / _JSON).exists()


def read(folder: Path) -> Any:
    """Returns sentencepiece's own reader of a folder's file.

    Raises:
        UserError: sentencepiece is not installed, or cannot read the file.
    """
    file = folder / FILE
    # Without it transformers takes the file for tiktoken's and says that tiktoken is missing.
    if not importlib.util.find_spec("sentencepiece"):
        raise UserError(f"reading {file} needs sentencepiece: install it")
    import sentencepiece

    try:
        pieces = sentencepiece.SentencePieceProcessor(model_proto=file.read_bytes())
        if pieces.get_piece_size():
            return pieces
    except (OSError, RuntimeError):  # with texts of sentencepiece's source
        pass
    raise UserError(f"{file} is no sentencepiece model; copy it again, or better {_JSON}, from the base model")


def order_merges_by_score(tokenizer: Any, pieces: Any) -> None:
    """Lets a tokenizer merge in the order in which sentencepiece does.

    transformers 5 orders the merges of a tokenizer.model by token number. Llama's pieces of several spaces have low
    numbers and the lowest of scores, so it writes another token for two spaces than the model was pre-trained with.
    """
    import tokenizers

    if not tokenizer.is_fast or not isinstance(tokenizer.backend_tokenizer.model, tokenizers.models.BPE):
        return
    backend = tokenizer.backend_tokenizer
    model = json.loads(backend.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    merges.sort(key=lambda merge: -pieces.get_score(pieces.piece_to_id("".join(merge))))
    kept = {name: model[name] for name in ("unk_token", "fuse_unk", "byte_fallback", "ignore_merges")}
    backend.model = tokenizers.models.BPE(model["vocab"], merges, **kept)


def write_json(folder: Path) -> None:
    """Writes tokenizer.json for a tokenizer.model that stands alone: without it transformers makes other tokens."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.is_fast:
        order_merges_by_score(tokenizer, read(folder))
        tokenizer.backend_tokenizer.save(str(folder / _JSON))
