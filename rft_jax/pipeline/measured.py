"""The pace of this machine, from a few training steps and decode calls of the stages' own programs.

What is timed has random weights and the stages' own shapes, but for the tokens of a training step, of which some are
enough where more would take long. Compilation counts: on a small machine it is a good part of a small stage.
"""

import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from rft_jax import hardware, runtime
from rft_jax.config import PipelineConfig, SampleConfig, TrainConfig
from rft_jax.data import prompt_format
from rft_jax.data import tokenizer as tokenizers
from rft_jax.data.batches import Batch
from rft_jax.data.encode import Encoder
from rft_jax.hf import config as hf_config
from rft_jax.hf import located
from rft_jax.model import lora, partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.llama import Llama
from rft_jax.pipeline import room
from rft_jax.pipeline.pace import MeanLengths
from rft_jax.records.problem import Problem
from rft_jax.sample import capacity, settings
from rft_jax.sample.decode import stop_at
from rft_jax.sample.engine import DeviceEngine
from rft_jax.sample.prompt_batch import half_width, most_prompts, prompt_batch
from rft_jax.sample.sampling import SamplingParameters
from rft_jax.sample.schedule import Schedule
from rft_jax.task import task as tasks
from rft_jax.train.assemble import compute_dtype, make_training
from rft_jax.train.step import make_adapters, make_state, put

_LONG = 10.0  # seconds that a training step may take, to be measured as it is
_STEPS = 2  # of a decode call; sampling's has more, so that the host is asked less often
_EXAMPLE = 256  # tokens, about: prompt and response
_COUNTED = 300  # problems whose tokens are counted; the mean of the others is the same
_PREFIX = 24  # tokens that all prompts begin with
_LONGEST = 2.7  # the longest prompt, in mean ones: GSM8K's
_FILLED = {"prefix": 1.05, "rows": 0.95, "none": 0.6}  # useful tokens per token of a step; the prefix is there once
_ATTENTION = 1.25  # of a decode step in use to one of idle rows, which have no pages to read
_WRITING = 3e8  # bytes/s of checkpoints and exports


class TooLargeError(Exception):
    """A stage that this machine cannot even be measured with.

    Attributes:
        hardware: what the machine has, a key of HARDWARE, or None where it is a CPU or nothing known.
        chips: how many.
    """

    def __init__(self, message: str, hardware: str | None, chips: int) -> None:
        """Takes a message for people."""
        super().__init__(message)
        self.hardware, self.chips = hardware, chips


@dataclasses.dataclass(frozen=True)
class _Training:
    first: float  # seconds until a second step would start: making the state, and compiling
    rate: float  # tokens/s, with padding


@dataclasses.dataclass(frozen=True)
class _Sampling:
    first: float  # seconds of making model and cache, and compiling
    prompt: float  # seconds per prompt
    step: float  # seconds per step of all rows
    rows: int  # on all devices


class Measured:
    """The pace of this machine; each kind of step is measured when it is first asked for.

    Attributes:
        starting: seconds from this process's start to its first measurement: its stages import the same.
        on_cpu: whether this machine computes on its CPU.
        took: seconds of the measurements so far.
    """

    def __init__(self, config: PipelineConfig) -> None:
        """Reads the tokenizer of the pipeline's first model.

        Raises:
            UserError: a model folder is missing or wrong.
            TooLargeError: a stage has no room here.
        """
        folders = [located.settings(each.partition("=")[2]) for each in config.models]
        runtime.start()
        self.starting, self.took = _age(), 0.0
        self.on_cpu = jax.default_backend() == "cpu"
        free = (
            float(capacity.host_bytes()) if self.on_cpu else float(sum(map(capacity.free_bytes, jax.local_devices())))
        )
        for stage, need in room.needed(config):
            if need > free:
                told = f"{stage} takes about {need / 1e9:.1f} GB, of which {free / 1e9:.1f} are free here"
                raise TooLargeError(told, *_here())
        jax.config.update("jax_enable_compilation_cache", False)  # the stages compile other shapes
        self._encoder = _encoder(folders[0], config.task)
        self._training = functools.cache(self._measure_training)
        self._sampling: dict[tuple[SampleConfig, LlamaConfig], _Sampling] = {}

    def lengths(self, problems: Sequence[Problem], count: int) -> MeanLengths:
        """Returns the lengths of `count` problems like these, counted by the tokenizer."""
        some = problems[:: -(-len(problems) // _COUNTED)]
        prompts = self._encoder.prompts(some, "the problems")
        responses = self._encoder.response_lengths([problem.response for problem in some])
        return MeanLengths(count, float(np.mean([len(prompt) for prompt in prompts])), float(np.mean(responses)))

    def training(self, config: TrainConfig, model: LlamaConfig, tokens: float) -> float:
        """Returns the seconds of a training run on so many useful tokens, checkpoint and export included."""
        found = self._training(dataclasses.replace(config, seed=0, epochs=1, fraction=1.0, learning_rate=0.0), model)
        adapters = lora.chosen(config.lora, model)
        trained = adapters.parameters(model) if adapters else model.parameters
        written = 12 * trained + 4 * model.parameters
        return found.first + tokens / _FILLED[config.packing] / found.rate + written / _WRITING

    def sampling(self, config: SampleConfig, model: LlamaConfig, of: MeanLengths, k: int) -> float:
        """Returns the seconds of sampling k paths of each problem.

        All rows decode together, so the paths that do not fill them wait for the longest, which is taken to be cut.
        """
        paths = of.problems * k
        found = self._of_sampling(config, model, of, k)
        rounds = max(0.0, paths / found.rows - 1)
        steps = rounds * min(of.response, config.max_new_tokens) + config.max_new_tokens
        return found.first + of.problems * found.prompt + steps * found.step

    def _of_sampling(self, config: SampleConfig, model: LlamaConfig, of: MeanLengths, k: int) -> _Sampling:
        """Returns what was measured; with other rows on a CPU, steps take as much longer as there are more."""
        rows = _rows(config, model, of, k)
        key = (dataclasses.replace(_shape(config), k=1), model)
        if key not in self._sampling:
            self._sampling[key] = self._measure_sampling(config, model, of, k)
        found = self._sampling[key]
        longer = rows / found.rows if self.on_cpu else 1.0
        return dataclasses.replace(found, step=found.step * longer, rows=rows)

    def _measure_training(self, config: TrainConfig, model: LlamaConfig) -> _Training:
        mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
        parallel = mesh.shape["data"] * mesh.shape["fsdp"]
        packed = config.packing != "none"
        length = config.row_length if packed else min(_EXAMPLE, config.max_length - 1)
        examples = max(1, length // _EXAMPLE)  # of a row
        whole = (
            config.accumulation,
            -(-config.batch // (config.accumulation * examples * parallel)) * parallel,
            length,
        )
        began = time.perf_counter()
        with jax.set_mesh(mesh):
            optimizer, step = make_training(config)
            adapters = lora.chosen(config.lora, model)
            dtype = compute_dtype(config) if adapters else jnp.dtype(jnp.float32)
            weights = _random(model, dtype, mesh, stacked=True)
            trained = make_adapters(adapters, model, 0, mesh) if adapters else weights
            state = make_state(trained, optimizer, mesh)
            frozen = weights if adapters else None
            del weights, trained  # the state has them now

            def seconds(shape: tuple[int, int, int]) -> float:
                nonlocal state
                batch = put(_batch(shape, model.vocabulary), False, 0.0, mesh)
                start = time.perf_counter()
                state, metrics = step(state, *batch, frozen)
                jax.block_until_ready(metrics)
                return time.perf_counter() - start

            part = (1, parallel, min(_EXAMPLE, length))
            seconds(part)  # compiles
            first = time.perf_counter() - began
            took = seconds(part)
            first -= took
            took *= _flops(model, whole) / _flops(model, part)
            if took < _LONG and part != whole:
                seconds(whole)
                took = seconds(whole)
        self.took += time.perf_counter() - began
        return _Training(max(0.0, first), math.prod(whole) / took)

    def _measure_sampling(self, config: SampleConfig, model: LlamaConfig, of: MeanLengths, k: int) -> _Sampling:
        mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
        dtype, began = settings.compute_dtype(config.compute), time.perf_counter()
        weights = _random(model, dtype, mesh, stacked=False)
        sizes = _sizes(config, model, of, k)
        engine = DeviceEngine(
            weights,
            mesh,
            sizes,
            prefix=np.zeros(_PREFIX, np.int32),
            parameters=SamplingParameters(config.temperature, config.top_k, config.top_p, config.min_p),
            stop=stop_at((0,)),
            max_new=config.max_new_tokens,
            seed=0,
            dtype=dtype,
            steps=_STEPS,
            logprobs=config.logprobs,
        )
        devices = capacity.devices(mesh)
        idle = Schedule(sizes, devices=devices, skipped=_PREFIX, steps=_STEPS, logprobs=config.logprobs).orders()
        prompts = prompt_batch([[] for _ in range(devices)], sizes, skipped=_PREFIX, at_least=half_width(sizes))

        def read_and_decode() -> None:
            engine.prefill(prompts)
            engine.wait(engine.start(idle))

        read_and_decode()  # compiles
        both = _timed(read_and_decode)
        call = _timed(lambda: engine.wait(engine.start(idle)))
        took = time.perf_counter() - began
        self.took += took
        return _Sampling(
            first=took - both - call,
            prompt=max(0.0, both - call) / (most_prompts(sizes) * devices),
            step=_ATTENTION * call / _STEPS,
            rows=sizes.rows * devices,
        )


def _here() -> tuple[str | None, int]:
    known = hardware.of_kind(jax.devices()[0].device_kind)
    keys = [key for key, each in hardware.HARDWARE.items() if each is known and key != "cpu"]
    return (keys[0] if keys else None), jax.device_count()


def _random(model: LlamaConfig, dtype: jnp.dtype, mesh: Mesh, *, stacked: bool) -> Llama:
    """Returns a model of random weights, each device's made where it is to be: one alone might not hold all."""

    def make() -> Llama:
        return Llama(model, jax.random.key(0), dtype=dtype, stacked=stacked)

    return jax.jit(make, out_shardings=partition.shardings(jax.eval_shape(make), mesh))()


def _shape(config: SampleConfig) -> SampleConfig:
    """Returns what a decode step depends on; an evaluation's greedy paths take as long as its votes."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(SampleConfig)}
    other = {"model": None, "problems": None, "name": None, "seed": 0, "temperature": 1.0, "task": None}
    return SampleConfig(**(fields | other))


def _rows(config: SampleConfig, model: LlamaConfig, of: MeanLengths, k: int) -> int:
    mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
    return _sizes(config, model, of, k).rows * capacity.devices(mesh)


def _sizes(config: SampleConfig, model: LlamaConfig, of: MeanLengths, k: int) -> Any:
    own = max(1.0, of.prompt - _PREFIX)
    prompts = np.full(of.problems, round(own))
    prompts[0] = round(_LONGEST * own)
    return capacity.fit(
        capacity.Lengths(prompts, np.full(of.problems, of.response), config.max_new_tokens),
        model,
        runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor),
        samples=k,
        wanted=of.problems * k,
        dtype=settings.compute_dtype(config.compute),
        prefix=_PREFIX,
        rows=config.rows,
    )


def _flops(model: LlamaConfig, shape: tuple[int, int, int]) -> float:
    """Returns the operations of a training step, up to a factor: of parameters and of attention, without its mask."""
    return math.prod(shape) * (model.parameters + 2 * model.layers * model.heads * model.head_width * shape[2])


def _batch(shape: tuple[int, int, int], vocabulary: int) -> Batch[np.ndarray]:
    tokens = np.random.default_rng(0).integers(vocabulary, size=shape, dtype=np.int32)
    places = np.broadcast_to(np.arange(shape[2], dtype=np.int32), shape)
    ones = np.ones(shape, np.int32)
    return Batch(tokens, tokens, ones, places, np.full(shape, 1 / tokens.size, np.float32))


def _encoder(folder: Path, task: str) -> Encoder:
    loaded = tokenizers.load(folder)
    asked = prompt_format.choose(
        folder, loaded, name=None, task=task, template=tasks.load(task).template, begin_token=None, end_tokens=None
    )
    return asked.encoder(loaded, hf_config.read(folder).vocabulary)


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _age() -> float:
    """Returns the seconds since this process began."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    except (OSError, ValueError, IndexError):  # no Linux
        return time.process_time()
