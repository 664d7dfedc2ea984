"""Names of objects in buckets: gs://BUCKET/KEY and s3://BUCKET/KEY."""

import os
import re
from pathlib import Path

from rft_jax.errors import UserError

SCHEMES = ("gs", "s3")
_PLAIN = re.compile(r"[A-Za-z0-9_.=+,@~-]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

SHARED = (
    "this folder needs locks and renames, which buckets do not have: give a folder on a local disk or on a file system "
    "that all machines share, and copy what is done to the bucket"
)
EXPORTED = (
    "model and metrics go to a folder on a local disk or on a file system that all machines share: give one; "
    "checkpoints go to a bucket by --config.checkpoints=gs://BUCKET/FOLDER, a model by launch/convert.py "
    "--output=gs://BUCKET/FOLDER"
)


def is_remote(name: str | os.PathLike[str]) -> bool:
    """Tells whether a name is one of an object, of whatever scheme; a path never is."""
    return isinstance(name, str) and _SCHEME.match(name) is not None


def split(name: str) -> tuple[str, str]:
    """Returns the scheme, and BUCKET/KEY without a slash at its end.

    Raises:
        UserError: the scheme is another, or there is no bucket.
    """
    match = _SCHEME.match(name)
    scheme = match[1] if match else ""
    if scheme not in SCHEMES:
        raise UserError(f"{name}: names of this form begin with gs:// or s3://; or give a file of this machine")
    rest = name.removeprefix(f"{scheme}://").rstrip("/")
    try:
        rest.encode()
    except UnicodeEncodeError:
        raise UserError(f"{name!r} is not UTF-8, as all names of objects are") from None
    if not rest.strip("/") or rest.startswith("/"):
        raise UserError(f"{name} names no bucket: write {scheme}://BUCKET/NAME")
    return scheme, rest


def folder_and_base(name: str) -> tuple[str, str]:
    """Returns what stands before the last slash of a name, and what behind it.

    Raises:
        UserError: it is the name of a bucket alone.
    """
    scheme, rest = split(name)
    folder, slash, base = rest.rpartition("/")
    if not slash:
        raise UserError(f"{name} is a whole bucket: write {scheme}://{rest}/NAME")
    return f"{scheme}://{folder}", base


def local(folder: str, flag: str, instead: str) -> Path:
    """Returns the path of a folder that cannot be in a bucket.

    Args:
        folder: as the user gave it.
        flag: that gave it.
        instead: why not, and what to do.

    Raises:
        UserError: it is in a bucket.
    """
    if is_remote(folder):
        raise UserError(f"{flag}={folder}: {instead}")
    return Path(folder)


def require_checkpoints(name: str, flag: str) -> None:
    """Makes sure that checkpoints can be written to a folder.

    Args:
        name: as the user gave it.
        flag: that gave it.

    Raises:
        UserError: it is in no bucket, or in one that Orbax cannot write to, or its name means different things to the
            libraries that write there.
    """
    if not is_remote(name):
        raise UserError(
            f"{flag}={name}: give a folder in a bucket, gs://BUCKET/FOLDER, or leave it out for the workdir's own"
        )
    scheme, rest = split(name)
    if scheme == "s3":  # orbax-checkpoint 0.12 would write to a folder `s3:` of this machine, or fail
        raise UserError(
            f"{flag}={name}: Orbax cannot write checkpoints to s3://, only to gs://; leave it out, with the workdir on "
            "a file system that outlives the machine, and copy steps to keep by `aws s3 sync`"
        )
    folder_and_base(name)
    for part in rest.split("/"):
        if not _PLAIN.fullmatch(part) or part in (".", ".."):
            raise UserError(
                f"{flag}={name}: {part!r} is not plain enough for all libraries that write there; use letters, digits "
                "and _.=+,@~- for the names of a folder of checkpoints"
            )
