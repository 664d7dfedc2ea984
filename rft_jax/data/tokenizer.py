"""Loading a tokenizer: transformers' own, from the model's folder, never from the network."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf import sidecars


def load(folder: str | Path) -> Any:
    """Returns the tokenizer of a Hugging Face folder (a transformers PreTrainedTokenizerBase).

    Raises:
        UserError: there is no such folder or no tokenizer in it, or transformers cannot read it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no model folder {folder}")
    files = [file.name for file in sidecars.tokenizer_files(folder)]
    # Without it transformers takes the file for tiktoken's and says that tiktoken is missing.
    if "tokenizer.json" not in files and "tokenizer.model" in files and not importlib.util.find_spec("sentencepiece"):
        raise UserError(f"reading {folder / 'tokenizer.model'} needs sentencepiece: install it")
    import transformers  # seconds to import, and commands that fail earlier need not wait for it

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises many kinds, with texts of many lines
        reason = str(error).strip().splitlines()[:1]
        raise UserError(f"transformers cannot read the tokenizer in {folder}: {' '.join(reason)}") from error
    if "tokenizer.json" not in files and "tokenizer.model" in files:
        _order_merges_by_score(tokenizer, folder / "tokenizer.model")
    return tokenizer


def _order_merges_by_score(tokenizer: Any, file: Path) -> None:
    """Lets a tokenizer merge in the order in which sentencepiece does.

    transformers 5 orders the merges of a tokenizer.model by token number. Llama's pieces of several spaces have low
    numbers and the lowest of scores, so it writes another token for two spaces than the model was pre-trained with.
    """
    import sentencepiece
    import tokenizers

    if not tokenizer.is_fast or not isinstance(tokenizer.backend_tokenizer.model, tokenizers.models.BPE):
        return
    backend = tokenizer.backend_tokenizer
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(file))
    model = json.loads(backend.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    merges.sort(key=lambda merge: -pieces.get_score(pieces.piece_to_id("".join(merge))))
    kept = {name: model[name] for name in ("unk_token", "fuse_unk", "byte_fallback", "ignore_merges")}
    backend.model = tokenizers.models.BPE(model["vocab"], merges, **kept)
