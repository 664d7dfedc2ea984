"""Models of the Hugging Face hub, by name: hf:ORG/NAME, or hf:ORG/NAME@REVISION for a branch, a tag or a commit.

huggingface_hub keeps what it downloads in its own cache, where other programs find it too. That cache may hold more of
a model than is read here, and does not say whether it holds all of it. So the list of a commit's files is kept in our
cache, and readers see a folder there of links to what they need.
"""

import contextlib
import dataclasses
import functools
import glob
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.remote import cache, given
from rft_jax.remote.message import one_line

log = logging.getLogger(__name__)

PREFIX = "hf:"
_FORM = f"{PREFIX}ORG/NAME or {PREFIX}ORG/NAME@REVISION"
_NAME = re.compile(r"hf:(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAIN = "main"
_CONFIG = "config.json"  # of every model, so it is what a revision is recognised by
_SECONDS = 30  # how long the hub may take to answer


def is_model(name: str | os.PathLike[str]) -> bool:
    """Tells whether a name is one of the hub; a path never is."""
    return isinstance(name, str) and name.startswith(PREFIX)


def split(name: str) -> tuple[str, str]:
    """Returns ORG/NAME and the revision.

    Raises:
        UserError: the name is malformed.
    """
    match = _NAME.fullmatch(name)
    if match is None or ".." in name:
        raise UserError(f"{name!r} names no model of the hub; the form is {_FORM}")
    return match["repository"], match["revision"] or _MAIN


@functools.cache
def pinned(name: str) -> str:
    """Returns a name with its commit, hf:ORG/NAME@COMMIT; asked again, this process gets the same one.

    A revision that huggingface_hub's cache knows is the one that it knows, and the hub is not asked.

    Raises:
        UserError: the name is malformed, or not known here and the hub shows no such model or does not answer.
    """
    repository, revision = split(name)
    if _COMMIT.fullmatch(revision):
        return name
    commit = _cached_commit(repository, revision)
    if commit is None:
        try:
            commit, sizes = _asked(repository, revision)
            _keep_list(repository, commit, sizes)
            if _CONFIG in sizes:  # a download makes the cache know the revision
                commit = _download(repository, revision, [_CONFIG]).name
        except errors() as error:
            raise UserError(f"{name} is not in the cache, and {_why(error, repository, revision)}") from None
    log.info("%s is commit %s", name, commit)
    return f"{PREFIX}{repository}@{commit}"


@dataclasses.dataclass(frozen=True)
class Model:
    """A model at a commit.

    Attributes:
        name: hf:ORG/NAME@COMMIT.
        sizes: bytes of each of its files, by its place; those in the cache only, where the hub cannot be asked.
        doubt: why there may be other files; None if all are known.
    """

    name: str
    sizes: Mapping[str, int]
    doubt: str | None

    def folder(self, places: Sequence[str]) -> Path:
        """Returns a folder of these files; they are downloaded unless huggingface_hub's cache has them.

        Raises:
            UserError: one cannot be had, or there is no room.
        """
        repository, commit = split(self.name)
        there = {place: _cached_file(repository, commit, place) for place in places}
        if missing := [place for place, file in there.items() if file is None]:
            self._fetch(missing)
            there |= {place: _cached_file(repository, commit, place) for place in missing}
            if lost := [place for place, file in there.items() if file is None]:
                raise UserError(f"cannot download {self.name}: {lost[0]} did not come; try again")
        digest = hashlib.sha256("\0".join((self.name, *sorted(places))).encode()).hexdigest()[:16]
        folder = cache.root() / "folders" / digest / repository.partition("/")[2]
        with cache.one_line():
            folder.mkdir(parents=True, exist_ok=True)
            for place, file in there.items():
                _link(folder / place, Path(str(file)))
        given.learn(folder, self.name)
        return folder

    def _fetch(self, missing: Sequence[str]) -> None:
        from huggingface_hub import constants

        repository, commit = split(self.name)
        if self.doubt:
            raise UserError(f"{self.name}: {', '.join(missing)} is not in the cache, and {self.doubt}")
        need = sum(self.sizes[place] for place in missing)
        kept = Path(constants.HF_HUB_CACHE)
        free = shutil.disk_usage(next(each for each in (kept, *kept.parents) if each.exists())).free
        if need > free:
            raise UserError(
                f"{self.name}: a copy needs {need / 1e9:.1f} GB, and {kept} has {free / 1e9:.1f} GB free: set HF_HOME "
                "to a folder with room"
            )
        try:
            _download(repository, commit, missing)
        except errors() as error:
            raise UserError(f"cannot download {self.name}: {_why(error, repository, commit)}") from None


@functools.cache
def model(name: str) -> Model:
    """Returns a model at the commit of its name, and what files it has.

    Raises:
        UserError: the name is malformed, or nothing of the model is here and the hub does not show it.
    """
    name = pinned(name)
    repository, commit = split(name)
    with contextlib.suppress(OSError, ValueError):
        return Model(name, json.loads(_list(repository, commit).read_text(encoding="utf-8")), None)
    try:
        _, sizes = _asked(repository, commit)
    except errors() as error:
        why = _why(error, repository, commit)
        sizes = _cached_sizes(repository, commit)
        if not sizes:
            raise UserError(f"{name} is not in the cache, and {why}") from None
        log.warning("%s is taken as it is in the cache; whether all of it is there is not known, as %s", name, why)
        return Model(name, sizes, why)
    _keep_list(repository, commit, sizes)
    return Model(name, sizes, None)


def page(repository: str) -> str:
    """Returns the address of a model's page."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repository}"


def library() -> Any:
    """Returns huggingface_hub, whose HTTP client tells the terminal of no request."""
    import huggingface_hub  # late: it takes half a second

    for name in _LOGS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return huggingface_hub


_LOGS = ("httpx", "httpx2", "httpcore", "httpcore2")


def errors() -> tuple[type[Exception], ...]:
    """Returns what huggingface_hub raises, and hf_xet, which moves the data."""
    from huggingface_hub.errors import HTTPError

    return HTTPError, OSError, ValueError, RuntimeError


def _asked(repository: str, revision: str) -> tuple[str, dict[str, int]]:
    """Returns the commit of a revision, and the sizes of its files."""
    found = library().HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=_SECONDS)
    sizes = {each.rfilename: each.size or 0 for each in found.siblings or ()}
    return str(found.sha), {place: size for place, size in sizes.items() if "/" not in place}


def _list(repository: str, commit: str) -> Path:
    return cache.root() / "hub" / f"{repository.replace('/', '--')}@{commit}.json"


def _keep_list(repository: str, commit: str, sizes: Mapping[str, int]) -> None:
    kept = _list(repository, commit)
    with cache.one_line():
        kept.parent.mkdir(parents=True, exist_ok=True)
    with files.whole_file(kept) as begun:
        begun.write_text(json.dumps(sizes), encoding="utf-8")


def _download(repository: str, revision: str, places: Sequence[str]) -> Path:
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        """Quiet where there is no terminal."""

        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **(settings | {"disable": settings.get("disable") or None}))

    patterns = [glob.escape(place) for place in places]
    return Path(library().snapshot_download(repository, revision=revision, allow_patterns=patterns, tqdm_class=Bar))


def _cached_folder(repository: str, revision: str) -> Path | None:
    try:
        # Nothing is asked for, so that it finds the folder however much of the model is in it.
        found = library().snapshot_download(repository, revision=revision, allow_patterns=[], local_files_only=True)
    except (OSError, ValueError):
        return None
    return Path(found)


def _cached_commit(repository: str, revision: str) -> str | None:
    folder = _cached_folder(repository, revision)
    return folder.name if folder else None


def _cached_sizes(repository: str, commit: str) -> dict[str, int]:
    folder = _cached_folder(repository, commit)
    # A link whose data were removed is no file.
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()} if folder else {}


def _cached_file(repository: str, commit: str, place: str) -> str | None:
    found = library().try_to_load_from_cache(repository, place, revision=commit)
    return found if isinstance(found, str) and Path(found).is_file() else None


def _link(link: Path, file: Path) -> None:
    file = file.absolute()
    if link.is_symlink() and link.readlink() == file:
        return
    begun = link.with_name(f".{link.name}.{files.this_process()}{files.PARTIAL}")
    begun.unlink(missing_ok=True)
    begun.symlink_to(file)
    begun.replace(link)


def _why(error: Exception, repository: str, revision: str) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    log_in = "`hf auth login`, or set HF_TOKEN"
    of_it = getattr(getattr(error, "response", None), "status_code", None)
    if constants.HF_HUB_OFFLINE:
        return f"HF_HUB_OFFLINE is set: unset it, or `hf download {repository}` beforehand"
    if isinstance(error, GatedRepoError):
        return f"it is gated: accept its licence at {page(repository)}, then {log_in}"
    if isinstance(error, RepositoryNotFoundError):  # also said of a private one
        return f"the hub shows no model {repository}: mind the name; if it is private, {log_in}"
    if isinstance(error, RevisionNotFoundError):
        return f"{repository} has no revision {revision}: its branches, tags and commits are at {page(repository)}"
    if of_it in (401, 403):
        return f"the hub refuses the access ({one_line(error)}): {log_in}"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{error.filename} cannot be written: {error.strerror}"
    return (
        f"the hub does not answer: {one_line(error)}; where there is no network, `hf download {repository}` beforehand"
    )
