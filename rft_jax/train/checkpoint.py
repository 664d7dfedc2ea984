"""Checkpoints of a training run, the only file that imports orbax; and one tensor at a time out of one, without it.

A step's folder holds `state` (an array per parameter and moment, named by its place in the tree), `origin` (JSON: what
run it belongs to) and the checksums of both (manifest.py). All are written under a temporary name, so a folder with a
number for a name is whole.
"""

import contextlib
import dataclasses
import json
import logging
import shutil
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
from rft_jax.model.architecture import PLAIN, LinearScaling, Llama3Scaling, LlamaConfig
from rft_jax.train import manifest, orbax_chatter
from rft_jax.train.plain_name import plain_name

log = logging.getLogger(__name__)
T = TypeVar("T")

STATE, ORIGIN = "state", "origin"
_SAVE_SECONDS = 3600  # the longest that writing a checkpoint and its checksums may take
_TOLD_BYTES = 1024
_CHUNK_BYTES = 64 * 2**20  # so that one layer of a stacked tensor can be read without the others


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a checkpoint belongs to: what must be the same for a run to go on from it.

    Attributes:
        model, data: for people: the folder or file that the run was started with.
        model_fingerprint, data_fingerprint: of their contents, wherever they lie now.
        fraction, batch, seed: with the data, they define every batch.
        architecture: of the model.
        tokenizer: the folder whose tokenizer goes with the model.
        prompt: how the model is asked, the fields of a hf.sidecars.PromptSidecar; None in checkpoints of before.
    """

    model: str
    model_fingerprint: str
    data: str
    data_fingerprint: str
    fraction: float
    batch: int
    seed: int
    architecture: LlamaConfig
    tokenizer: str
    prompt: dict[str, Any] | None = None

    def refuse_other(self, other: "Origin", folder: Path) -> None:
        """Raises UserError if a run of this origin cannot go on from checkpoints of another."""
        for what, named in (("model", True), ("data", True), ("fraction", False), ("batch", False), ("seed", False)):
            ours, theirs = getattr(self, what), getattr(other, what)
            key = f"{what}_fingerprint" if named else what
            if getattr(self, key) != getattr(other, key):
                same_name = f" (the same name, but other contents: {getattr(other, key)}, now {getattr(self, key)})"
                raise UserError(
                    f"{folder} holds checkpoints of a run with {what} {theirs}, this one has {what} {ours}"
                    f"{same_name if named and ours == theirs else ''}; give another --workdir, or the same {what}"
                )


class Checkpoints:
    """The checkpoints of one run, saved in the background."""

    def __init__(self, folder: Path, origin: Origin, keep: int) -> None:
        """Opens the folder, removes what a killed process left half written, and sets aside damaged checkpoints.

        Args:
            folder: made if it does not exist.
            origin: of this run.
            keep: how many to keep, the last ones.

        Raises:
            UserError: the folder holds checkpoints of another run, or none that is whole, or cannot be written.
        """
        orbax_chatter.silence()
        self._folder = folder.absolute()
        self._origin = origin
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            async_options=ocp.options.AsyncOptions(
                timeout_secs=_SAVE_SECONDS, post_finalization_callback=self._write_manifest
            ),
        )
        damaged = _damaged_after_the_last_whole(self._folder, origin)
        try:
            if jax.process_index() == 0:  # Orbax's own cleaning goes on in the background, beside our first save
                for half in folder.glob("*.orbax-checkpoint-tmp*"):
                    shutil.rmtree(half)
                for step in damaged:
                    shutil.rmtree(_aside(self._folder, step), ignore_errors=True)
                    (self._folder / str(step)).rename(_aside(self._folder, step))
            if damaged:
                _wait_for_all("damaged checkpoints are set aside")
            self._folder.mkdir(parents=True, exist_ok=True)
            self._names = contextlib.ExitStack()
            self._manager = ocp.CheckpointManager(self._names.enter_context(plain_name(self._folder)), options=options)
        except OSError as error:
            raise UserError(f"cannot write checkpoints to {folder}: {error.strerror or error}") from error

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
        with self._one_line_for_disk_errors(), jax.transfer_guard("allow"):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(flat, save_args=chunks),
                    origin=ocp.args.JsonSave(dataclasses.asdict(self._origin)),
                ),
            )
        log.info("saving step %d to %s", step, self._folder / str(step))

    def _write_manifest(self) -> None:
        """Called by Orbax on process 0, in the thread that saves, when all is written and before it gets its name."""
        for unnamed in self._folder.glob("*.orbax-checkpoint-tmp*"):  # one: the next save waits for this one
            manifest.write(unnamed)

    def restore(self, step: int, abstract: T) -> T:
        """Returns the state saved after `step` steps, on the mesh that `abstract` asks for.

        Raises:
            UserError: it cannot be read.
        """
        return _restore(self._folder / str(step), abstract)

    def wait(self) -> None:
        """Returns when everything saved is on the disk.

        Raises:
            UserError: a save has failed for want of room.
        """
        with self._one_line_for_disk_errors():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finishes the save that is under way."""
        # When an error is on its way already, it is the one to tell.
        with self._names, contextlib.suppress(Exception) if kind else self._one_line_for_disk_errors():
            self._manager.close()

    @contextlib.contextmanager
    def _one_line_for_disk_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and tensorstore tell of a full or forbidden disk in many ways
            text = str(error)
            sign = next((sign for sign in _DISK_ERRORS if sign in text), None)
            if sign is None and not isinstance(error, OSError):
                raise
            steps = saved_steps(self._folder)
            kept = f"the checkpoint of step {steps[-1]} is whole" if steps else "there is no earlier checkpoint"
            reason = _DISK_ERRORS[sign] if sign else text.splitlines()[0]
            raise UserError(
                f"cannot save a checkpoint in {self._folder}: {reason}; {kept}; mend that and repeat the command"
            ) from error


_DISK_ERRORS = {
    "No space left": "no room left",
    "RESOURCE_EXHAUSTED": "no room left",
    "Disk quota": "the disk quota is used up",
    "Permission denied": "permission denied",
    "Read-only file system": "the file system is read-only",
}


def saved_steps(folder: Path) -> list[int]:
    """Returns the steps of the whole checkpoints in a folder, ascending."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def _damaged_after_the_last_whole(folder: Path, origin: Origin) -> list[int]:
    """Returns the steps that are damaged, down to the first that is whole; all processes call this together.

    Raises:
        UserError: none is whole, or it belongs to a run of another origin.
    """
    faults: dict[int, str] = {}
    for step in reversed(saved_steps(folder)):
        if (fault := _fault(folder / str(step))) is None:
            origin.refuse_other(read_origin(folder / str(step)), folder)
            for damaged, why in faults.items():
                log.warning(
                    "%s is damaged: %s; going on from step %d, and keeping the damaged one as %s",
                    folder / str(damaged), why, step, _aside(folder, damaged).name,
                )  # fmt: skip
            return list(faults)
        faults[step] = fault
    if faults:
        step, why = next(iter(faults.items()))
        raise UserError(
            f"{folder / str(step)} is damaged: {why}; there is no earlier checkpoint that is whole: give another "
            "--workdir, or remove it to begin anew"
        )
    return []


def _aside(folder: Path, step: int) -> Path:
    return folder / f"{step}.damaged"


def check(folder: Path) -> None:
    """Checks a step's folder against its checksums; all processes call this together.

    Raises:
        UserError: a file is missing or is not what was saved.
    """
    if (why := _fault(folder)) is not None:
        raise UserError(f"{folder} is damaged: {why}; take the checkpoint of another step")


def _fault(folder: Path) -> str | None:
    """Returns what is wrong with a step's folder, or None; the same on all processes, which share the work."""
    if not manifest.exists(folder):
        if not (folder / STATE).is_dir() or not (folder / ORIGIN).is_dir():
            return f"{STATE} or {ORIGIN} is missing"
        log.warning("%s has no checksums, as if an earlier version had saved it: it is taken as it is", folder)
        return None
    found = manifest.fault(folder, jax.process_index(), jax.process_count())
    if jax.process_count() == 1:
        return found
    told = np.zeros(_TOLD_BYTES, np.uint8)
    text = (found or "").encode()[:_TOLD_BYTES]
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
    return _restore(folder, abstract)


def _restore(folder: Path, abstract: T) -> T:
    orbax_chatter.silence()
    flat = _flat(abstract)
    wanted = ocp.checkpoint_utils.construct_restore_args(flat)
    try:
        with plain_name(folder / STATE) as state, ocp.PyTreeCheckpointer() as checkpointer:
            arrays = checkpointer.restore(
                state,
                args=ocp.args.PyTreeRestore(flat, restore_args=wanted, partial_restore=True),
            )
    except Exception as error:  # Orbax and tensorstore tell of damage in many ways, and in many lines
        raise _unreadable(folder, error) from error
    return jax.tree.unflatten(jax.tree.structure(abstract), [arrays[name] for name in flat])


def _unreadable(folder: Path, error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return UserError(f"cannot read the checkpoint {folder}: {reason[:200]}; remove it to go on from the step before")


def read_origin(folder: Path) -> Origin:
    """Returns what a step's folder belongs to.

    Raises:
        UserError: it is no step's folder of a training run.
    """
    try:
        fields = json.loads((folder / ORIGIN / "metadata").read_text(encoding="utf-8"))
        architecture = fields["architecture"]
        scaling = architecture["rope_scaling"]
        if scaling is not None:
            scaling = LinearScaling(**scaling) if set(scaling) == {"factor"} else Llama3Scaling(**scaling)
        config = LlamaConfig(**PLAIN | architecture | {"rope_scaling": scaling})  # until 2026-11-26 all were plain
        return Origin(**{**fields, "architecture": config})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        steps = saved_steps(folder)
        hint = f"; the steps in there are {', '.join(map(str, steps))}" if steps else ""
        raise UserError(
            f"{folder} is not a checkpoint of a training run; give the folder of a step, such as "
            f"OUT/checkpoints/{steps[-1] if steps else 100}{hint}"
        ) from error


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
            raise _unreadable(folder, error) from error
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
