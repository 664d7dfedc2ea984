"""Problems from a Hugging Face data set, by name: downloaded once, then read from the cache, also without a network."""

import itertools
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records.lines import read_objects

PREFIX = "hf:"
_FORM = f"{PREFIX}OWNER/NAME:CONFIG:SPLIT"
_SHARD = re.compile(r"-(?P<index>[0-9]+)-of-(?P<count>[0-9]+)\.")


def read_rows(name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number, from 1, and the fields of each row of a data set such as `hf:openai/gsm8k:main:train`.

    Raises:
        UserError: the name is malformed, the data set, configuration or split is unknown, or it is not in the cache and
            the network does not answer.
    """
    parts = name.removeprefix(PREFIX).split(":")
    if len(parts) != 3 or not all(parts) or parts[0].count("/") != 1:
        raise UserError(f"{name!r} names no data set; the form is {_FORM}, for example hf:openai/gsm8k:main:train")
    files = _cached_files(*parts)
    numbers = itertools.count(1)
    for file in files:
        for row in _rows_of(file):
            yield next(numbers), row


def _cached_files(repository: str, configuration: str, split: str) -> list[pathlib.Path]:
    # Imported late: it takes half a second, and only this source of problems needs it.
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [f"{folder}/{split}{rest}" for folder in (configuration, "data") for rest in ("-*.parquet", ".jsonl")]

    def snapshot(local_files_only: bool) -> list[pathlib.Path]:
        folder = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", allow_patterns=patterns, local_files_only=local_files_only
        )
        for pattern in patterns:
            if files := sorted(pathlib.Path(folder).glob(pattern)):
                return files
        return []

    try:
        files = snapshot(local_files_only=True)
        if _is_complete(files):
            return files
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass  # not in the cache
    try:
        files = snapshot(local_files_only=False)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"cannot fetch the data set {repository}, and it is not in the cache: {reason}") from error
    if not _is_complete(files):
        raise UserError(f"the data set {repository} has no file for configuration {configuration!r}, split {split!r}")
    return files


def _is_complete(files: list[pathlib.Path]) -> bool:
    """Tells whether every shard is there: an interrupted download leaves some of `train-00000-of-00003.parquet`."""
    if not files:
        return False
    shard = _SHARD.search(files[0].name)
    return shard is None or len(files) == int(shard["count"])


def _rows_of(file: pathlib.Path) -> Iterator[dict[str, Any]]:
    if file.suffix != ".parquet":
        yield from (fields for _, fields in read_objects(file))
        return
    from pyarrow import parquet  # type: ignore[import-untyped]  # late, for the same reason

    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches():
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        raise UserError(f"cannot read {file}: {error}") from error
