"""What a bucket is asked, through fsspec: gcsfs and s3fs are extras of this package.

fsspec's own files are not used, as a reader of one would see half of an object and half of the next one of its name.
Every error of a library below becomes one line. Before anything else a bucket is reached once, in a limited time: the
libraries look for credentials on servers that may not be there, and try again and again.
"""

import base64
import contextlib
import dataclasses
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.remote import background
from rft_jax.remote.address import split
from rft_jax.remote.message import one_line

REACH_S = 30.0  # for a first answer
_CONNECT_S, _READ_S = 10, 60  # for a connection, and for the next bytes of an answer
_TRIES = 3

_EXTRA = {"gs": "gcs", "s3": "s3"}
LOG_IN = {
    "gs": "log in by `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file",
    "s3": "log in by `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
_NO_ACCESS = re.compile(
    r"credential|forbidden|access ?denied|PermissionError|unauthori[sz]ed|anonymous|RefreshError|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|expired ?token|token (included in|has)|\b40[13]\b",
    re.IGNORECASE,
)
# What tells one version of an object from the next, by store: Google's number, else a hash, else a time.
_VERSIONS = ("generation", "ETag", "etag", "mtime", "created")
_LOGS = ("gcsfs", "google", "aiobotocore", "botocore", "s3fs", "fsspec", "asyncio", "urllib3")


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """An object that is there.

    Attributes:
        name: with its scheme and bucket.
        size: in bytes.
        version: another one whenever its content is.
        md5: of its content, in hexadecimal, as the store reckoned it from what came; empty where it tells none.
    """

    name: str
    size: int
    version: str
    md5: str = ""


def find(name: str) -> Object | None:
    """Returns the object of a name, or None; like all here, raises UserError where the bucket cannot be asked."""
    with _asked(name) as (system, scheme, place):
        try:
            return next(iter(_objects(scheme, [system.info(place)])), None)
        except FileNotFoundError:
            return None


def require_bucket(name: str) -> None:
    """Raises UserError if the bucket of a name does not exist, as far as this user may know."""
    with _asked(name) as (system, scheme, place):
        bucket = place.partition("/")[0]
        try:
            system.info(bucket)
        except FileNotFoundError:
            raise UserError(f"{name}: there is no bucket {scheme}://{bucket}; make it, or mind the name") from None
        except Exception:
            return  # who may write objects need not be allowed to look at the bucket


def below(folder: str) -> list[Object]:
    """Returns the objects in a folder and the folders in it, by name; refuses the name of an object."""
    with _asked(folder) as (system, scheme, place):
        found = _objects(scheme, system.find(place, detail=True).values())
        if [each.name for each in found] == [f"{scheme}://{place}"]:  # how fsspec finds a file
            raise UserError(f"{folder} is a file, and a folder is meant: give that which it is in")
        return found


def inside(folder: str) -> list[Object]:
    """Returns the objects in a folder, by name."""
    with _asked(folder) as (system, scheme, place):
        return _objects(scheme, system.ls(place, detail=True))


def matches(pattern: str) -> list[Object]:
    """Returns the objects that match a pattern (`*`, `?`, `[…]`, `**` across folders), by name."""
    with _asked(pattern) as (system, scheme, place):
        return _objects(scheme, system.glob(place, detail=True).values())


def download(source: Object, target: Path, progress: Callable[[int], object]) -> None:
    """Writes an object's content to a file.

    Args:
        source: of which version is wanted.
        target: to write.
        progress: called with the bytes of each piece that came.

    Raises:
        UserError: it is no longer the object that it was.
    """
    from fsspec.callbacks import Callback

    class Told(Callback):
        def relative_update(self, inc: int = 1) -> None:
            progress(inc)

    with _asked(source.name) as (system, _, place):
        system.get_file(place, str(target), callback=Told())
    if target.stat().st_size != source.size or find(source.name) != source:
        raise UserError(f"{source.name} was changed while it was being read; repeat the command when it is whole")


def upload(source: Path, name: str) -> None:
    """Makes an object of a file; it appears whole, in the place of an earlier one."""
    with _asked(name) as (system, _, place):
        system.put_file(str(source), place)


def read(name: str) -> bytes:
    """Returns the content of a small object."""
    with _asked(name) as (system, _, place):
        return bytes(system.cat_file(place))


def write(name: str, content: bytes) -> None:
    """Makes a small object; it appears whole, in the place of an earlier one."""
    with _asked(name) as (system, _, place):
        system.pipe_file(place, content)


def remove(name: str) -> None:
    """Removes an object, or all objects in a folder and the folders in it, in no order, if they are there."""
    with _asked(name) as (system, _, place), contextlib.suppress(FileNotFoundError):
        system.rm(place, recursive=True)


@contextlib.contextmanager
def _asked(name: str) -> Iterator[tuple[Any, str, str]]:
    """Yields the file system of a name, its scheme and its place, and tells every error in one line."""
    scheme, place = split(name)
    try:
        yield _reached(scheme, place, name), scheme, place
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name} is not there: {one_line(error)}") from error
    except Exception as error:  # three libraries, each with kinds of its own
        raise UserError(f"cannot use {name}: {why(scheme, error)}") from error


def why(scheme: str, error: Exception) -> str:
    """Returns one line on why a bucket could not be used, and on what to do."""
    told = one_line(error)
    if _NO_ACCESS.search(f"{type(error).__name__} {error}"):
        return f"no access ({told}): {LOG_IN[scheme]}, and mind the name of the bucket"
    if isinstance(error, OSError) and error.filename is not None:  # a file of this machine
        return f"{error.filename}: {error.strerror}"
    return f"{told}; is the network there, and the name of the bucket right?"


_systems: dict[str, Any] = {}
_reached_buckets: set[str] = set()


def _reached(scheme: str, place: str, name: str) -> Any:
    bucket = f"{scheme}://{place.partition('/')[0]}"
    if bucket not in _reached_buckets:

        def reach() -> Any:
            system = _systems.get(scheme) or _system(scheme, name)
            with contextlib.suppress(FileNotFoundError):  # an answer as well
                system.info(place)
            return system

        try:
            _systems[scheme] = background.within(REACH_S, reach)
        except TimeoutError as error:
            raise UserError(f"{name}: no answer within {REACH_S:.0f} s; is the network there?") from error
        _reached_buckets.add(bucket)
    return _systems[scheme]


def _system(scheme: str, name: str) -> Any:
    for log in _LOGS:  # every error is told here
        logging.getLogger(log).setLevel(logging.CRITICAL)
    try:
        import fsspec

        match scheme:
            case "gs":
                options = _options_of_gcsfs()
            case "s3":
                options = _options_of_s3fs()
            case _:
                raise ValueError(scheme)
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        extra = _EXTRA[scheme]
        raise UserError(
            f"{name}: {scheme}:// needs an extra that is not installed: pip install 'rft-jax[{extra}]'"
        ) from error


def _options_of_gcsfs() -> dict[str, Any]:
    import aiohttp

    # aiohttp's own limit is five minutes for the whole of a shard.
    return {"session_kwargs": {"timeout": aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=_READ_S)}}


def _options_of_s3fs() -> dict[str, Any]:
    limits = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": {"max_attempts": _TRIES}}
    return {"config_kwargs": limits}


def _objects(scheme: str, found: Any) -> list[Object]:
    objects = []
    for fields in found:
        place = fields["name"].lstrip("/")
        if fields["type"] != "file" or place.endswith("/"):  # consoles make empty objects that stand for folders
            continue
        version = next((str(fields[name]) for name in _VERSIONS if fields.get(name) is not None), "")
        objects.append(Object(f"{scheme}://{place}", int(fields["size"]), version, _md5(fields)))
    return sorted(objects, key=lambda each: each.name)


def _md5(fields: Any) -> str:
    told = fields.get("md5Hash")  # Google's; objects put together of parts have none
    return base64.b64decode(told).hex() if told else ""
