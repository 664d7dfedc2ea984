"""Data sets of the Hugging Face hub, by name: downloaded once, then found in the cache, also without a network."""

import glob
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rft_jax.errors import UserError
from rft_jax.remote.message import one_line

PREFIX = "hf:"
_FORM = f"{PREFIX}OWNER/NAME:CONFIG:SPLIT"
_DEFAULT = "default"  # what the hub calls the configuration of a data set that names none
# Where a data set has a split in several formats, the first is read.
_FORMATS = tuple(
    kind + packed
    for kind, packings in ((".parquet", [""]), (".jsonl", ["", ".gz", ".zst"]), (".json", ["", ".gz", ".zst"]))
    for packed in packings
)
# train.jsonl; train-00000-of-00002.parquet, in older data sets with a hash behind it; train/0000.parquet
_FILE = re.compile(
    r"(?P<name>[^/]+?)(?:-(?P<index>[0-9]{1,9})-of-(?P<count>[0-9]{1,9})(?:-[0-9a-f]+)?)?"
    rf"(?P<format>{'|'.join(map(re.escape, _FORMATS))})"
)
_SECONDS = 30  # how long the hub may take to answer
_LONGEST_TOLD = 300  # characters of a list of files

# The files of a split, by format (its place in _FORMATS) and folder.
_Candidates = dict[tuple[int, str], list[str]]


def files_of(name: str) -> list[pathlib.Path]:
    """Returns the files of a split such as `hf:openai/gsm8k:main:train`, in their order.

    Raises:
        UserError: the name is malformed, the data set, configuration or split is unknown, or it is not in the cache as
            a whole and the hub does not answer.
    """
    parts = name.removeprefix(PREFIX).split(":")
    if len(parts) != 3 or not all(parts) or not re.fullmatch(r"[\w.-]+/[\w.-]+", parts[0], re.ASCII):
        raise UserError(f"{name!r} names no data set; the form is {_FORM}, for example hf:openai/gsm8k:main:train")
    repository, configuration, split = parts
    folder = _cached(repository)
    cached = _listing(folder) if folder else []
    if folder and (files := _whole(_files_by_split(cached).get((configuration, split), {}))):
        return [folder / file for file in files]
    there = _ask_hub(name, cached)
    found = _files_by_split(there)
    if (configuration, split) not in found:
        raise UserError(f"{name}: the data set has no such configuration and split; it has {_told(there)}")
    files = _first(found[configuration, split])
    if not _fit_together(files):
        raise UserError(
            f"{name}: shards of the split are missing on the hub; it has {', '.join(files)[:_LONGEST_TOLD]}"
        )
    return _download(name, repository, files)


def _cached(repository: str) -> pathlib.Path | None:
    # Imported late: it takes half a second, and only this source of problems needs it.
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        # Nothing is asked for, so that it finds the folder however much of the data set is in it.
        return pathlib.Path(
            huggingface_hub.snapshot_download(repository, repo_type="dataset", allow_patterns=[], local_files_only=True)
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None


def _listing(folder: pathlib.Path) -> list[str]:
    # A link whose data were removed is no file.
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _ask_hub(name: str, cached: list[str]) -> list[str]:
    """Returns the names of all files of a data set; if the hub does not answer, the cached ones are told."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError, RepositoryNotFoundError

    try:
        repository, configuration, split = name.removeprefix(PREFIX).split(":")
        listed = huggingface_hub.HfApi().dataset_info(repository, timeout=_SECONDS).siblings
    except (HTTPError, OSError, ValueError) as error:
        if constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE is set: unset it to download"
        elif isinstance(error, RepositoryNotFoundError):  # also said of a private one, or one behind a form
            reason = "the hub shows no such data set: mind the name, or `hf auth login`"
        else:
            reason = f"the hub does not answer: {one_line(error)}"
        if of_it := _files_by_split(cached).get((configuration, split)):
            has = f"; of its files the cache has {', '.join(_first(of_it))[:_LONGEST_TOLD]}"
        else:
            has = f"; the cache has {_told(cached)}" if cached else ""
        raise UserError(f"{name} is not in the cache as a whole, and {reason}{has}") from None
    return [file.rfilename for file in listed or []]


def _download(name: str, repository: str, files: list[str]) -> list[pathlib.Path]:
    import huggingface_hub
    from huggingface_hub.errors import HTTPError

    try:
        folder = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", allow_patterns=[glob.escape(file) for file in files]
        )
    except (HTTPError, OSError, ValueError) as error:
        raise UserError(f"cannot download {name}: {one_line(error)}") from None
    paths = [pathlib.Path(folder) / file for file in files]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise UserError(f"cannot download {name}: {', '.join(missing)[:_LONGEST_TOLD]} did not come; try again")
    return paths


def _files_by_split(files: Iterable[str]) -> dict[tuple[str, str], _Candidates]:
    """Returns (configuration, split) -> the files that hold it."""
    found: dict[tuple[str, str], _Candidates] = {}
    for file in files:
        for configuration, split in _meanings(file):
            match = _FILE.fullmatch(file.rpartition("/")[2])
            assert match is not None, "what has a meaning matches"
            key = _FORMATS.index(match["format"]), file.rpartition("/")[0]
            found.setdefault((configuration, split), {}).setdefault(key, []).append(file)
    return found


def _meanings(file: str) -> Iterator[tuple[str, str]]:
    """Yields the configuration and the split that a file belongs to by its name, if it holds data at all."""
    *folders, last = file.split("/")
    match = _FILE.fullmatch(last)
    if match is None:
        return
    if folders and match["name"].isdecimal() and match["index"] is None:
        *folders, split = folders  # main/train/0000.parquet
    else:
        split = match["name"]
    if folders[:1] == ["data"] and len(folders) == 2:
        folders = folders[1:]
    if folders in ([], ["data"]):
        yield _DEFAULT, split
    if len(folders) == 1:
        yield folders[0], split


def _first(candidates: _Candidates) -> list[str]:
    return sorted(candidates[min(candidates)])


def _whole(candidates: _Candidates) -> list[str]:
    """Returns the files of the split that are complete for certain, or none."""
    for key in sorted(candidates):
        files = sorted(candidates[key])
        # Of train/0000.parquet nobody knows how many there are.
        if _fit_together(files) and not files[0].rpartition("/")[2][0].isdecimal():
            return files
    return []


def _fit_together(files: list[str]) -> bool:
    """Tells whether every shard is there: an interrupted download leaves some of `train-00000-of-00003.parquet`."""
    shards = [_FILE.fullmatch(file.rpartition("/")[2]) for file in files]
    counted = [(int(shard["index"]), int(shard["count"])) for shard in shards if shard and shard["index"]]
    if not counted:
        return True
    return sorted(counted) == [(index, len(files)) for index in range(len(files))]


def _told(files: Sequence[str]) -> str:
    """Returns the splits of each configuration, or where no file is called like one, the files."""
    splits = defaultdict(list)
    for configuration, split in sorted(_files_by_split(files)):
        splits[configuration].append(split)
    if not splits:
        return f"no file that is called like a split: {', '.join(files)[:_LONGEST_TOLD] or 'none'}"
    told = "; ".join(f"{configuration}: {', '.join(names)}" for configuration, names in splits.items())
    return told if len(told) <= _LONGEST_TOLD else f"{told[:_LONGEST_TOLD]} …"
