"""The plan of a stage: what its step costs on the target, how long all of it takes at least, and what would fit."""

import dataclasses
from collections.abc import Iterator

from rft_jax.config import MeshConfig, SampleConfig, TrainConfig
from rft_jax.errors import UserError
from rft_jax.model.architecture import LlamaConfig
from rft_jax.plan import cost, sampling, training
from rft_jax.plan.cost import Cost
from rft_jax.plan.lengths import EXAMPLES, PREFIX, gsm8k
from rft_jax.plan.target import Target
from rft_jax.sample import capacity
from rft_jax.sample.decode import STEPS

_FEW = (2, 4)  # layers of the decode steps from which one with more layers is extended


@dataclasses.dataclass(frozen=True)
class Plan:
    """A stage on a target.

    Attributes:
        target: the devices.
        mesh: devices along each axis.
        settings: that decide what fits, as they are given on the command line.
        step: what a step costs each device.
        steps: of the stage, GSM8K's training split.
        useful: FLOPs of a step on one device that any program needs.
        before: seconds beside the steps, at least: reading the prompts.
        rate: what a step makes, on all devices, and its unit.
        note: what is estimated, or empty.
    """

    target: Target
    mesh: dict[str, int]
    settings: str
    step: Cost
    steps: float
    useful: float
    before: float
    rate: tuple[float, str]
    note: str = ""

    @property
    def memory(self) -> float:
        """Bytes that each device has."""
        return self.target.known.memory or 0.0

    @property
    def fits(self) -> bool:
        """Whether the step fits."""
        return self.step.fits(self.memory)

    @property
    def step_seconds(self) -> float:
        """The floor of a step; without the vendor's compiler of its useful FLOPs alone."""
        return max(self.step.seconds, self.useful / self.target.known.best)

    @property
    def stage_seconds(self) -> float:
        """The floor of the stage."""
        return self.before + self.steps * self.step_seconds

    @property
    def device_hours(self) -> float:
        """The floor of the stage, times the devices, in hours."""
        return self.stage_seconds * len(self.target.devices) / 3600


def of_training(config: TrainConfig, architecture: LlamaConfig, target: Target) -> Plan:
    """Returns the plan of a training run; it compiles the step.

    Raises:
        UserError: the mesh does not cover the devices, or the settings do not go with them.
    """
    return Plan(
        target=target,
        mesh=_mesh(config.mesh, len(target.devices)),
        settings=f"remat={config.remat} accumulation={config.accumulation}",
        step=training.step_cost(config, architecture, target),
        steps=training.steps(config),
        useful=training.useful_flops(config, architecture) / len(target.devices),
        before=0.0,
        rate=(config.batch, "examples"),
    )


def of_sampling(config: SampleConfig, architecture: LlamaConfig, target: Target, *, all_layers: bool = True) -> Plan:
    """Returns the plan of sampling GSM8K's training problems; it compiles the decode step.

    Args:
        config: of the run.
        architecture: of the model.
        target: the devices.
        all_layers: whether to compile them all, or a few, from which the step is extended.

    Raises:
        UserError: the mesh does not cover the devices, or weights and one problem do not fit.
    """
    decoding = sampling.choose(config, architecture, target)
    replicas = capacity.devices(decoding.mesh)
    tensor = decoding.mesh.shape["tensor"]
    rows = decoding.sizes.rows * replicas

    def part(layers: int) -> sampling.Decoding:
        return dataclasses.replace(decoding, architecture=dataclasses.replace(architecture, layers=layers))

    def of(layers: int) -> Cost:
        guesses = sampling.guesses(part(layers), decoding.history_pages)
        return cost.of(sampling.lower(config, part(layers)), target, guesses).per(STEPS)

    notes = []
    if all_layers or architecture.layers <= _FEW[1]:
        step = of(architecture.layers)
    else:
        fewer, more = map(of, _FEW)
        step = cost.extended(fewer, more, _FEW, architecture.layers)
        notes.append(f"extended from {_FEW[0]} and {_FEW[1]} layers")
        if target.backend == "tpu":
            # How a TPU's compiler packs temporaries differs by hundreds of MiB from program to program, which a line
            # through two of them would multiply. So it is what capacity reckons, or more where they need more.
            used = [one.temporary / part(layers).temporary for one, layers in zip((fewer, more), _FEW, strict=True)]
            step = dataclasses.replace(step, temporary=max(1.0, *used) * decoding.temporary)
            notes.append(
                f"temporaries as capacity reckons them; these two need {used[0]:.2f} and {used[1]:.2f} of that"
            )
    if moved := sum(step.moved.values()):
        needed = decoding.needed(decoding.history_pages)
        notes.append(
            f"weights, prompts and pages in use are {needed / 1e9:.1f} GB, {needed / moved:.2f} of what a step moves; "
            "the history is as full as rows of all ages make it (estimated)"
        )
    lengths = gsm8k(config.max_new_tokens)
    prompts = float(PREFIX + lengths.prompts.sum())
    return Plan(
        target=target,
        mesh=_mesh(config.mesh, len(target.devices)),
        settings=f"rows={decoding.sizes.rows}",
        step=step,
        steps=EXAMPLES * config.k * float(lengths.responses.clip(max=config.max_new_tokens).mean()) / rows,
        useful=2.0 * architecture.parameters * decoding.sizes.rows / tensor,
        before=2.0 * architecture.parameters * prompts / (target.known.best * len(target.devices)),
        rate=(rows, "tokens"),
        note="; ".join(notes),
    )


def fitting(config: TrainConfig, architecture: LlamaConfig, target: Target) -> tuple[TrainConfig, Plan] | None:
    """Returns the cheapest settings under which a training run fits, found by compiling, or None where none does."""
    for way in _ways(config, len(target.devices)):
        try:
            plan = of_training(way, architecture, target)
        except UserError:
            continue  # this mesh does not go with the model
        if plan.fits:
            return way, plan
    return None


def _ways(config: TrainConfig, devices: int) -> Iterator[TrainConfig]:
    """Yields settings that take less and less memory, and more and more time."""
    split = dataclasses.replace(config, mesh=MeshConfig(data=1, fsdp=devices, tensor=1))
    yield split
    full = dataclasses.replace(split, remat="full")
    rows = config.batch // 4 // devices  # of 1,024 tokens hold about four of GSM8K's examples each
    for accumulation in (1, 2, 4, 8):
        if accumulation == 1 or accumulation <= rows:
            yield dataclasses.replace(full, accumulation=accumulation)
    for tensor in (2, 4, 8):
        if devices % tensor == 0:
            mesh = MeshConfig(data=1, fsdp=devices // tensor, tensor=tensor)
            yield dataclasses.replace(full, mesh=mesh, accumulation=max(1, rows))


def _mesh(config: MeshConfig, devices: int) -> dict[str, int]:
    sizes = dataclasses.asdict(config)
    known = -(config.data * config.fsdp * config.tensor)
    return {axis: devices // known if size == -1 else size for axis, size in sizes.items()}
