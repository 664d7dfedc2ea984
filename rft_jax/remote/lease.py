"""One command at a time writes a folder of a bucket, which has no locks: a lease, renewed as long as it is held.

The folder's object `writer` says who holds it. It is only ever written on the condition that it is still the version
that was read last, which Google's store guarantees, so of two commands one fails. The holder renews it every few
seconds. Whoever comes and finds one watches it: if it is renewed, the holder lives; if not for a while, it was killed,
and the lease is taken over. A holder that comes back from the dead finds another version, and stops. No clocks are
compared.
"""

import contextlib
import json
import logging
import os
import platform
import secrets
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from rft_jax.errors import UserError
from rft_jax.remote import store
from rft_jax.remote.address import split

log = logging.getLogger(__name__)

NAME = "writer"
BEAT_S = 4.0  # between two renewals
DEAD_S = 20.0  # without one, the holder is taken for dead
_ANSWER_S = 60.0  # for an answer; tensorstore itself tries again for minutes
_END_S = 10.0  # the same when the command ends
_LOOK_S = 1.0


class Lease:
    """What a holder has; made by `held`."""

    def __init__(self, folder: str, kvstore: Any, answer_s: float) -> None:
        self._folder = folder
        self._kvstore = kvstore
        self._token = secrets.token_hex(8)
        self._beats = 0
        self._version = b""
        self._taken_by: str | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._take(answer_s)
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Renews the lease now.

        Raises:
            UserError: another command has taken it, or the bucket does not answer.
        """
        try:
            self._beat()
        except Exception as error:
            raise UserError(f"cannot use {self._folder}: {store.why('gs', error)}") from error
        if self._taken_by is not None:
            raise UserError(
                f"{self._folder} was taken over by {self._taken_by}, as nothing was heard from here for "
                f"{DEAD_S:.0f} s; this command stops, as one alone can write there"
            )

    def give_back(self) -> None:
        """Ends the lease, if it is still held; where the bucket does not answer, whoever comes next waits."""
        self._ended.set()
        self._thread.join(_END_S)
        if self._taken_by is None and not self._thread.is_alive():
            with contextlib.suppress(Exception):
                self._kvstore.write(NAME, None, if_equal=self._version).result(timeout=_END_S)

    def _take(self, answer_s: float) -> None:
        found = self._kvstore.read(NAME).result(timeout=answer_s)
        if found.state == "value":
            holder = _holder(found.value)
            log.info("%s: seeing for %.0f s whether %s still writes there", self._folder, DEAD_S, holder)
            end = time.monotonic() + DEAD_S
            while time.monotonic() < end:
                time.sleep(min(_LOOK_S, DEAD_S))
                seen = self._kvstore.read(NAME).result(timeout=answer_s)
                if seen.state != "value":
                    found = seen
                    break
                if seen.stamp.generation != found.stamp.generation:
                    raise self._refusal(holder)
        self._version = found.stamp.generation
        self._write(answer_s)
        if self._taken_by is not None:
            raise self._refusal(self._taken_by)

    def _refusal(self, holder: str) -> UserError:
        return UserError(f"{self._folder} is being written by {holder}; wait until it ends, or give another folder")

    def _renew(self) -> None:
        while not self._ended.wait(BEAT_S) and self._taken_by is None:
            with contextlib.suppress(Exception):  # the next one may come through; `require` tells
                self._beat()

    def _beat(self) -> None:
        with self._lock:
            if self._taken_by is None:
                self._write(_ANSWER_S)

    def _write(self, answer_s: float) -> None:
        """Writes the object on the condition that it is the version that we know, else learns who else has."""
        self._beats += 1
        mine = {"holder": _myself(), "token": self._token, "renewed": self._beats}
        stamp = self._kvstore.write(NAME, json.dumps(mine).encode(), if_equal=self._version).result(timeout=answer_s)
        if stamp.generation:
            self._version = stamp.generation
            return
        found = self._kvstore.read(NAME).result(timeout=answer_s)
        if found.state == "value" and _fields(found.value).get("token") == self._token:
            self._version = found.stamp.generation  # ours came through, and only the answer was lost
        else:
            self._taken_by = _holder(found.value)


@contextlib.contextmanager
def held(folder: str) -> Iterator[Lease]:
    """Makes this process the only writer of a folder in a bucket while it is entered.

    Args:
        folder: gs://BUCKET/FOLDER.

    Raises:
        UserError: another process writes it, or the bucket cannot be used; like all here.
    """
    import tensorstore  # takes long to import

    bucket, _, place = split(folder)[1].partition("/")
    try:
        spec = {"driver": "gcs", "bucket": bucket, "path": f"{place}/"}
        lease = Lease(folder, tensorstore.KvStore.open(spec).result(timeout=store.REACH_S), store.REACH_S)
    except UserError:
        raise
    except TimeoutError as error:
        raise UserError(
            f"{folder}: tensorstore, which writes checkpoints, got no answer within {store.REACH_S:.0f} s; "
            f"is the network there? {store.LOG_IN['gs']}"
        ) from error
    except Exception as error:
        raise UserError(f"cannot use {folder}: {store.why('gs', error)}") from error
    try:
        yield lease
    finally:
        lease.give_back()


def _myself() -> str:
    return f"process {os.getpid()} on {platform.node()}: {shlex.join(sys.argv)}"[:1000]


def _holder(content: bytes) -> str:
    return str(_fields(content).get("holder", "another command"))


def _fields(content: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        fields = json.loads(content)
        if isinstance(fields, dict):
            return fields
    return {}
