"""What the compiler made of a program, kept in a folder if one is given, so that a long table can be gone on with."""

import dataclasses
import hashlib
import importlib.metadata
import os
from pathlib import Path

import jax
import msgspec
import zstandard

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.plan import target as targets
from rft_jax.plan.target import Target

_COMPILERS = {"gpu": ("jaxlib", "jax-cuda13-plugin", "jax-cuda12-plugin"), "tpu": ("jaxlib", "libtpu")}
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled program of one device, or why there is none.

    Attributes:
        arguments: bytes of what it takes.
        temporary: bytes that it needs beside, with results that do not replace arguments.
        text: its HLO; empty where the vendor's compiler is not there, or refused.
        refusal: what the compiler said instead; empty if it compiled.
    """

    arguments: int
    temporary: int
    text: str
    refusal: str


def of(lowered: jax.stages.Lowered, target: Target) -> Compiled:
    """Compiles a program for the target, or reads what was made of the same program before (`Target.kept`).

    Raises:
        UserError: this version of JAX does not tell the memory, or the folder cannot be used.
    """
    if target.kept is None:
        return _compile(lowered, target)
    file = target.kept / f"{_key(lowered, target)}.json.zst"
    if file.exists():
        try:
            return msgspec.json.decode(zstandard.decompress(file.read_bytes()), type=Compiled)
        except (OSError, zstandard.ZstdError, msgspec.DecodeError) as error:
            raise UserError(f"{file}: not a kept program ({error}); delete it") from error
    made = _compile(lowered, target)
    if made.refusal and _OUT_OF_MEMORY not in made.refusal:
        return made  # may be this machine's fault
    files.make_folder(target.kept, clean=False)
    with files.whole_file(file) as temporary:
        temporary.write_bytes(zstandard.compress(msgspec.json.encode(made)))
    return made


def _compile(lowered: jax.stages.Lowered, target: Target) -> Compiled:
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        return Compiled(0, 0, "", str(error))
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise UserError("this version of JAX does not say how much memory a program needs")
    results = max(0, analysis.output_size_in_bytes - analysis.alias_size_in_bytes)
    text = (compiled.as_text() or "") if target.vendor else ""
    return Compiled(analysis.argument_size_in_bytes, analysis.temp_size_in_bytes + results, text, "")


def _key(lowered: jax.stages.Lowered, target: Target) -> str:
    """Returns a digest of all that decides what the compiler makes: the program, the devices, the compiler itself."""
    versions = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    given = (
        lowered.as_text(),
        repr((target.name, target.known, len(target.devices), target.per_host, target.vendor)),
        Path(targets.__file__).read_text(),  # how the devices are described
        repr([versions.get(name) for name in _COMPILERS[target.backend]]),
        repr([os.environ.get(name) for name in _FLAGS]),
    )
    return hashlib.sha256("\0".join(given).encode()).hexdigest()[:32]
