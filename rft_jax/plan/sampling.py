"""The decode step of a run, compiled for devices that are not here, beside the cache that fits there."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.config import SampleConfig
from rft_jax.model import partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.attention import split_kv_heads
from rft_jax.model.llama import Llama
from rft_jax.plan.hlo import Instruction
from rft_jax.plan.lengths import EXAMPLES, PREFIX, gsm8k
from rft_jax.plan.target import Target
from rft_jax.plan.traffic import Guesses
from rft_jax.runtime import make_mesh
from rft_jax.sample import capacity, decode
from rft_jax.sample.decode import STEPS
from rft_jax.sample.engine import make_decode
from rft_jax.sample.kv import walk_kernel
from rft_jax.sample.kv.paged_attention import Reading
from rft_jax.sample.kv.pages import CacheSizes, KeysValues
from rft_jax.sample.sampling import SamplingParameters

DTYPE = jnp.dtype("bfloat16")
_END = 2  # Llama's eos token; any would do


@dataclasses.dataclass(frozen=True)
class Decoding:
    """A decode step and the cache that it reads.

    Attributes:
        architecture: of the model.
        mesh: of the devices.
        sizes: of the cache on each device.
        lengths: of the prompts and responses.
    """

    architecture: LlamaConfig
    mesh: Mesh
    sizes: CacheSizes
    lengths: capacity.Lengths

    @property
    def history_pages(self) -> float:
        """History pages in use at a random step: no more than the pool has, and than rows of all ages need."""
        page = self.sizes.page_size
        return min(self.sizes.history_pages, self.sizes.rows * (self.lengths.history / page + 0.5))

    @property
    def temporary(self) -> int:
        """Bytes that `capacity` reckons for a call on a TPU, beside weights and cache."""
        tensor = self.mesh.shape["tensor"]
        rows = self.sizes.rows * capacity.bytes_of_row(self.architecture, tensor)
        return rows + capacity.bytes_of_sweep(self.sizes, self.architecture, tensor, DTYPE)

    def needed(self, history_pages: float) -> float:
        """Returns the bytes that a step must read of the device's memory: weights, pages in use, prompts and prefix."""
        tokens = (history_pages + self.sizes.prompt_pages + self.sizes.rows) * self.sizes.page_size + PREFIX
        token = capacity.bytes_of_token(self.architecture, self.mesh.shape["tensor"], DTYPE)
        tables = 1 if self.architecture.tied_embeddings else 2
        # Of the table that tokens are looked up in, a row per token is read.
        looked_up = self.architecture.vocabulary * self.architecture.width / self.architecture.parameters
        return weights(self.architecture, self.mesh) * (1 - (tables - 1) * looked_up) + tokens * token


def choose(config: SampleConfig, architecture: LlamaConfig, target: Target) -> Decoding:
    """Returns the decode step of a run on GSM8K's training problems, with as many rows as fit.

    Raises:
        UserError: the mesh does not cover the devices, or weights and one problem do not fit.
    """
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor, target.devices)
    lengths = gsm8k(config.max_new_tokens)
    assert target.known.memory is not None
    sizes = capacity.within(
        capacity.usable(target.known.memory, weights(architecture, mesh)),
        lengths,
        architecture,
        mesh,
        samples=config.k,
        wanted=EXAMPLES * config.k,
        dtype=DTYPE,
        prefix=PREFIX,
        rows=config.rows,
        backend=target.backend,
    )
    if target.backend == "gpu" and target.vendor:
        sizes = dataclasses.replace(sizes, reading=Reading("kernel"))
    return Decoding(architecture, mesh, sizes, lengths)


def abstract_model(architecture: LlamaConfig, mesh: Mesh) -> Llama:
    """Returns shapes, dtypes and shardings of a model with unstacked layers."""
    model = jax.eval_shape(lambda: Llama(architecture, jax.random.key(0), dtype=DTYPE, stacked=False))
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        model,
        partition.shardings(model, mesh),
    )


def weights(architecture: LlamaConfig, mesh: Mesh) -> int:
    """Returns the bytes of the weights on each device."""
    shards = (leaf.sharding.shard_shape(leaf.shape) for leaf in jax.tree.leaves(abstract_model(architecture, mesh)))
    return DTYPE.itemsize * sum(map(math.prod, shards))


def lower(config: SampleConfig, decoding: Decoding) -> jax.stages.Lowered:
    """Lowers a call of STEPS steps."""
    mesh, sizes = decoding.mesh, decoding.sizes
    run = make_decode(
        steps=STEPS,
        parameters=SamplingParameters(config.temperature, config.top_k, config.top_p, config.min_p),
        stop=decode.stop_at((_END,)),
        max_new=config.max_new_tokens,
        dtype=DTYPE,
        logprobs=config.logprobs,
    )

    def placed(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        spec = getattr(x.sharding, "spec", P())
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec))

    def numbers(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.int32, sharding=partition.sharding("lengths", shape, mesh))

    with jax.set_mesh(mesh):
        model = abstract_model(decoding.architecture, mesh)
        prefix = jax.eval_shape(lambda: _prefix(decoding.architecture))
        state = jax.tree.map(placed, jax.eval_shape(lambda p: decode.idle(model, sizes, DTYPE, p), prefix))
        devices = capacity.devices(mesh)
        slots, rows = sizes.slots * devices, sizes.rows * devices
        now, seed = (
            jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, P()))
            for shape, dtype in (((), jnp.int32), ((2,), jnp.uint32))
        )
        orders = decode.Orders(
            order=numbers(slots),
            room=numbers(devices),
            stop_slot=numbers(rows),
            stop_sample=numbers(rows),
            prompt_reach=numbers(devices),
            prompt_depth=numbers(devices),
            now=now,
        )
        return run.lower(model, state, orders, seed)


def _prefix(architecture: LlamaConfig) -> tuple[KeysValues, ...]:
    heads = split_kv_heads(architecture.heads, architecture.kv_heads)
    part = partition.place(jnp.zeros((heads, PREFIX, architecture.head_width), DTYPE), "prefix")
    return ((part, part),) * architecture.layers


def guesses(decoding: Decoding, history_pages: float) -> Guesses:
    """Returns what the compiled step does not tell: how much of the pools is in use.

    Args:
        decoding: the step.
        history_pages: in use.
    """
    sizes = decoding.sizes
    pools = {sizes.history_pages: history_pages, sizes.prompt_pages: float(sizes.prompt_pages)}

    def trips(loop: Instruction, depth: int) -> float:
        if depth == 0:
            return float(STEPS)
        # The loops of a sweep: over the pool, which they carry, or over the columns of its table.
        for pool, used in pools.items():
            carried = [array.sides for array in loop.arrays if array.sides[:1] == (pool,)]
            if any(len(sides) == 4 and sides[2] == sizes.page_size for sides in carried):
                return math.ceil(used / sizes.reading.pages)
            if carried:
                columns = sizes.pages_per_row if pool == sizes.history_pages else sizes.pages_per_slot
                return math.ceil(columns / sizes.reading.columns)
        return 1.0

    def kernel_bytes(kernel: Instruction, operands: list[Instruction]) -> float | None:
        if "triton" not in kernel.attributes:
            return None
        # walk_kernel: each program reads the pages of its row or slot, for a block of queries. The prefix is small
        # enough to stay in the device's cache.
        query = operands[0].arrays[0].sides
        pages = [
            array for each in operands for array in each.arrays if len(array.sides) == 4 and array.sides[0] in pools
        ]
        if len(query) != 4 or len(pages) != 2:
            return None
        pool = pages[0].sides[0]
        queries = query[2] * (sizes.seats if pool == sizes.prompt_pages else 1)
        read = pools[pool] / pool * math.ceil(queries / walk_kernel.MOST_QUERIES)
        whole = sum(array.bytes for each in (kernel, *operands) for array in each.arrays)
        return whole - (1 - read) * sum(array.bytes for array in pages)

    return Guesses(trips, kernel_bytes)
