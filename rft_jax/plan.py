"""Tells by compiling alone whether a training run fits on given hardware, and how fast it could be.

The real step is compiled for the same number of fake CPU devices, with the run's mesh and shardings, and XLA reports
the memory of one of them. The CPU compiler computes bfloat16 products in float32 and has no fused attention, so its
temporaries are larger than a GPU compiler's: what fits here fits there.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.config import TrainConfig
from rft_jax.data.batches import Batch
from rft_jax.errors import UserError
from rft_jax.hardware import HARDWARE
from rft_jax.model import partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.runtime import AXES, make_mesh
from rft_jax.train.assemble import make_training
from rft_jax.train.step import abstract_state

# GSM8K under Llama's tokenizer: examples, and tokens per example.
EXAMPLES, TOKENS = 7473, 232


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run needs, per device unless stated otherwise.

    Attributes:
        state: bytes of parameters, moments and batch.
        temporary: bytes of the step's temporaries.
        memory: bytes available.
        step_flops: FLOPs of a step, over all devices.
        step_seconds: seconds per step at the devices' best.
        steps: number of steps in the run.
    """

    state: int
    temporary: int
    memory: float
    step_flops: float
    step_seconds: float
    steps: int

    @property
    def fits(self) -> bool:
        """Whether a step fits, with 5 % left for everything else."""
        return self.state + self.temporary <= 0.95 * self.memory

    def table(self) -> str:
        """Returns the plan for the terminal."""
        gib = 2**30
        needed = self.state + self.temporary
        run = self.steps * self.step_seconds
        return (
            f"{'fits' if self.fits else 'does not fit'}: {needed / gib:.1f} of {self.memory / gib:.1f} GiB per device "
            f"({self.state / gib:.1f} state and batch, {self.temporary / gib:.1f} temporary, at most)\n"
            f"at best {self.step_seconds:.2f} s per step ({self.step_flops:.1e} FLOPs), {run / 60:.1f} min for the "
            f"{self.steps:,} steps on GSM8K; good programs take about twice that"
        )


def plan_training(config: TrainConfig, architecture: LlamaConfig, hardware: str) -> Plan:
    """Compiles a run's step for the local JAX devices, of which there must be as many as in the plan.

    Args:
        config: config of the run; its mesh covers the devices.
        architecture: architecture of the model.
        hardware: what the devices stand for, a name in HARDWARE that has a memory.

    Raises:
        UserError: the mesh does not cover the devices, or this version of JAX cannot tell.
    """
    known = HARDWARE[hardware]
    assert known.memory is not None, f"{hardware} has no memory of its own"
    if config.compute == "auto":
        config = dataclasses.replace(config, compute="bfloat16")  # what auto means on the target
    steps = math.ceil(EXAMPLES * config.epochs / config.batch)
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
    with jax.set_mesh(mesh):
        optimizer, step = make_training(config)
        state = abstract_state(architecture, optimizer, mesh)
        stop = jax.ShapeDtypeStruct((mesh.size,), jnp.int32, sharding=NamedSharding(mesh, P(AXES)))
        rate = jax.ShapeDtypeStruct((), jnp.float32, sharding=NamedSharding(mesh, P()))
        analysis = step.lower(state, _batch(config, mesh), stop, rate).compile().memory_analysis()
    if analysis is None:
        raise UserError("this version of JAX does not say how much memory a program needs")
    flops = 6.0 * architecture.parameters * config.batch * TOKENS
    return Plan(
        state=analysis.argument_size_in_bytes,
        temporary=analysis.temp_size_in_bytes,
        memory=known.memory,
        step_flops=flops,
        step_seconds=flops / (known.best * mesh.size),
        steps=steps,
    )


def _batch(config: TrainConfig, mesh: Mesh) -> Batch[jax.ShapeDtypeStruct]:
    quantum = mesh.shape["data"] * mesh.shape["fsdp"] * config.accumulation
    packed = config.packing != "none"
    rows = math.ceil(config.batch * TOKENS / (0.95 * config.row_length)) if packed else config.batch
    rows = math.ceil(rows / quantum) * quantum
    shape = (config.accumulation, rows // config.accumulation, config.row_length if packed else config.max_length - 1)
    sharding = partition.sharding("tokens", shape, mesh)
    dtypes = (jnp.int32,) * 4 + (jnp.float32,)
    return Batch(*(jax.ShapeDtypeStruct(shape, dtype, sharding=sharding) for dtype in dtypes))
