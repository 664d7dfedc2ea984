"""Loading a tokenizer: transformers' own, from the model's folder, never from the network."""

import importlib.util
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
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises many kinds, with texts of many lines
        reason = str(error).strip().splitlines()[:1]
        raise UserError(f"transformers cannot read the tokenizer in {folder}: {' '.join(reason)}") from error
