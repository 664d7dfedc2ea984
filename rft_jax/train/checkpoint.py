"""Checkpoints of a training run, the only file that imports orbax; and one tensor at a time out of one, without it.

A step's folder holds `state` (an array per parameter and moment, named by its place in the tree), `origin` (JSON: what
run it belongs to) and the checksums of both (manifest.py). How one that is whole is told from half of one depends on
where it is (disk_folder.py, bucket_folder.py).
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from jax.experimental import multihost_utils

from rft_jax.errors import UserError
from rft_jax.hf import names
from rft_jax.model.architecture import LlamaConfig
from rft_jax.train import disk_folder, orbax_chatter
from rft_jax.train.bucket_folder import BucketFolder
from rft_jax.train.disk_folder import ORIGIN_FILE, STATE, DiskFolder, saved_steps
from rft_jax.train.origin import UNREADABLE, Origin
from rft_jax.train.plain_name import plain_name

log = logging.getLogger(__name__)
T = TypeVar("T")

_SAVE_SECONDS = 3600  # the longest that writing a checkpoint and its checksums may take
_TOLD_BYTES = 1024
_CHUNK_BYTES = 64 * 2**20  # so that one layer of a stacked tensor can be read without the others


class Checkpoints:
    """The checkpoints of one run, saved in the background."""

    def __init__(self, folder: Path | BucketFolder, origin: Origin, keep: int) -> None:
        """Opens the folder, removes what a killed process left half written, and sets aside damaged checkpoints.

        Args:
            folder: made if it does not exist.
            origin: of this run.
            keep: how many to keep, the last ones.

        Raises:
            UserError: the folder holds checkpoints of another run, or none that is whole, or cannot be written.
        """
        orbax_chatter.silence()
        self._folder = DiskFolder(folder) if isinstance(folder, Path) else folder
        self._origin = origin
        self._saving = 0
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            async_options=ocp.options.AsyncOptions(
                timeout_secs=_SAVE_SECONDS, post_finalization_callback=lambda: self._folder.seal(self._saving)
            ),
        )
        damaged = _damaged_after_the_last_whole(self._folder, origin)
        try:
            if jax.process_index() == 0:
                self._folder.tidy(damaged)
            if damaged:
                _wait_for_all("damaged checkpoints are set aside")
            self._names = contextlib.ExitStack()
            self._manager = ocp.CheckpointManager(self._names.enter_context(self._folder.for_orbax()), options=options)
        except Exception as error:
            if (reason := self._reason(error)) is None:
                raise
            raise UserError(f"cannot write checkpoints to {self._folder}: {reason}") from error

    @property
    def latest(self) -> int | None:
        """Steps done at the last whole checkpoint, or None if there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Starts to save the state after `step` steps; returns as soon as the devices' memory may change again.

        Raises:
            UserError: this save or the one before has failed for want of room.
        """
        if step == self.latest:
            return
        flat = _flat(state)
        chunks = {
            name: ocp.SaveArgs(chunk_byte_size=_CHUNK_BYTES, shard_axes=(0,) * (x.ndim > 0)) for name, x in flat.items()
        }
        with self._one_line_for_failed_saves(), jax.transfer_guard("allow"):
            self._manager.wait_until_finished()
            self._saving = step  # read on process 0, in the thread that saves
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(flat, save_args=chunks),
                    origin=ocp.args.JsonSave(dataclasses.asdict(self._origin)),
                ),
            )
        log.info("saving step %d to %s/%d", step, self._folder, step)

    def restore(self, step: int, abstract: T) -> T:
        """Returns the state saved after `step` steps, on the mesh that `abstract` asks for.

        Raises:
            UserError: it cannot be read.
        """
        with self._folder.state(step) as state:
            return _restore(f"{self._folder}/{step}", state, abstract)

    def wait(self) -> None:
        """Returns when everything saved is on the disk or in the bucket.

        Raises:
            UserError: a save has failed for want of room.
        """
        with self._one_line_for_failed_saves():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finishes the save that is under way."""
        # When an error is on its way already, it is the one to tell.
        with self._names, contextlib.suppress(Exception) if kind else self._one_line_for_failed_saves():
            self._manager.close()

    @contextlib.contextmanager
    def _one_line_for_failed_saves(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (reason := self._reason(error)) is None:
                raise
            try:
                steps = self._folder.steps()
                kept = f"the checkpoint of step {steps[-1]} is whole" if steps else "there is no earlier checkpoint"
            except UserError:  # for the same reason, most likely
                kept = "the last whole checkpoint is kept"
            raise UserError(
                f"cannot save a checkpoint in {self._folder}: {reason}; {kept}; mend that and repeat the command"
            ) from error

    def _reason(self, error: Exception) -> str | None:
        """Returns a line for an error about the folder; None if it is one already or is about something else."""
        return None if isinstance(error, UserError) else self._folder.reason(error)


def _damaged_after_the_last_whole(folder: DiskFolder | BucketFolder, origin: Origin) -> list[int]:
    """Returns the steps that are damaged, down to the first that is whole; all processes call this together.

    Raises:
        UserError: none is whole, or it belongs to a run of another origin.
    """
    faults: dict[int, str] = {}
    for step in reversed(folder.steps()):
        if (fault := _agreed(folder.fault(step, jax.process_index(), jax.process_count()))) is None:
            try:
                theirs = Origin.parse(folder.origin(step))
            except (OSError, *UNREADABLE) as error:
                raise _not_of_a_run(f"{folder}/{step}", folder.steps()) from error
            origin.refuse_other(theirs, folder, folder.flag)
            for damaged, why in faults.items():
                log.warning(
                    "%s/%d is damaged: %s; going on from step %d, and %s",
                    folder, damaged, why, step, folder.fate(damaged),
                )  # fmt: skip
            return list(faults)
        faults[step] = fault
    if faults:
        step, why = next(iter(faults.items()))
        raise UserError(
            f"{folder}/{step} is damaged: {why}; there is no earlier checkpoint that is whole: give another "
            f"{folder.flag}, or remove it to begin anew"
        )
    return []


def check(folder: Path) -> None:
    """Checks a step's folder against its checksums; all processes call this together.

    Raises:
        UserError: a file is missing or is not what was saved.
    """
    if (why := _agreed(disk_folder.fault(folder, jax.process_index(), jax.process_count()))) is not None:
        raise UserError(f"{folder} is damaged: {why}; take the checkpoint of another step")


def _agreed(found: str | None) -> str | None:
    """Returns what any process found, the same on all."""
    if jax.process_count() == 1:
        return found
    told = np.zeros(_TOLD_BYTES, np.uint8)
    text = (found or "").encode(errors="replace")[:_TOLD_BYTES]
    told[: len(text)] = np.frombuffer(text, np.uint8)
    with jax.transfer_guard("allow"):
        rows = np.asarray(multihost_utils.process_allgather(told))
    texts = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in rows.reshape(-1, _TOLD_BYTES)]
    return next((text for text in texts if text), None)


def _wait_for_all(what: str) -> None:
    if jax.process_count() > 1:
        with jax.transfer_guard("allow"):
            multihost_utils.sync_global_devices(what)


def restore(folder: Path, abstract: T) -> T:
    """Returns the arrays of a step's folder in the form, dtypes and layout of `abstract`, which may be a part of it.

    Raises:
        UserError: a file of it is missing or is not what was saved.
    """
    check(folder)
    with plain_name(folder / STATE) as state:
        return _restore(str(folder), state, abstract)


def _restore(name: str, state: str | Path, abstract: T) -> T:
    orbax_chatter.silence()
    flat = _flat(abstract)
    wanted = ocp.checkpoint_utils.construct_restore_args(flat)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            arrays = checkpointer.restore(
                state,
                args=ocp.args.PyTreeRestore(flat, restore_args=wanted, partial_restore=True),
            )
    except Exception as error:  # Orbax and tensorstore tell of damage in many ways, and in many lines
        raise _unreadable(name, error) from error
    return jax.tree.unflatten(jax.tree.structure(abstract), [arrays[name] for name in flat])


def _unreadable(name: str, error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return UserError(f"cannot read the checkpoint {name}: {reason[:200]}; remove it to go on from the step before")


def read_origin(folder: Path) -> Origin:
    """Returns what a step's folder belongs to.

    Raises:
        UserError: it is no step's folder of a training run.
    """
    try:
        return Origin.parse((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    except (OSError, *UNREADABLE) as error:
        raise _not_of_a_run(str(folder), saved_steps(folder)) from error


def _not_of_a_run(name: str, steps: list[int]) -> UserError:
    hint = f"; the steps in there are {', '.join(map(str, steps))}" if steps else ""
    return UserError(
        f"{name} is not a checkpoint of a training run; give the folder of a step, such as "
        f"OUT/checkpoints/{steps[-1] if steps else 100}{hint}"
    )


def tensors(folder: Path, config: LlamaConfig, model: Any, dtype: np.dtype) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the model's tensors under their Hugging Face names, each read from the disk when it is asked for.

    Args:
        folder: of a step.
        config: of the model.
        model: a Llama of ShapeDtypeStructs, layers stacked.
        dtype: to cast them to.

    Raises:
        UserError: a tensor is missing, cannot be read, or is not of the model's shape.
    """
    sources: dict[str, tuple[str, tuple[int, ...], int | None]] = {}
    for path, leaf in jax.tree.leaves_with_path(model):
        parts, on_layers = names.names(path, config)
        key = _name((jax.tree_util.GetAttrKey("model"), *path))
        sources |= {name: (key, leaf.shape, layer if on_layers else None) for layer, name in enumerate(parts)}
    for name, shape in names.shapes(config).items():
        key, whole, layer = sources[name]
        try:
            with plain_name(folder / STATE) as state:
                stored = _open(state, key)
                if stored.shape == whole:
                    tensor = (stored if layer is None else stored[layer]).read().result()
        except (ValueError, OSError) as error:
            raise _unreadable(str(folder), error) from error
        if stored.shape != whole:
            raise UserError(f"{folder}: {key} has the shape {stored.shape}, the architecture there asks for {whole}")
        yield name, tensor.astype(dtype).reshape(shape)


def _open(folder: Path, key: str) -> tensorstore.TensorStore:
    store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}, "path": f"{key}/"}
    return tensorstore.open({"driver": "zarr", "kvstore": store}, open=True, read=True).result()


def _flat(tree: Any) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
