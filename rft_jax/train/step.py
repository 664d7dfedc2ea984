"""One training step: gradients accumulated over the parts of a batch, then AdamW."""

import dataclasses
import functools
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.data.batches import Batch
from rft_jax.model import llama, partition
from rft_jax.model.adapters import Adapters
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.attention import Implementation
from rft_jax.model.llama import Llama
from rft_jax.model.lora import Lora
from rft_jax.runtime import AXES
from rft_jax.train.loss import cross_entropy

T = TypeVar("T")
jax.tree_util.register_dataclass(Batch)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["step", "model", "optimizer"], meta_fields=[])
@dataclasses.dataclass
class TrainState:
    """What changes from step to step, and all that a checkpoint needs.

    Attributes:
        step: int32 [], steps done.
        model: fp32 parameters, layers stacked; or adapters alone, of a model that is frozen.
        optimizer: Adam's moments and counts.
    """

    step: jax.Array
    model: Llama | Adapters
    optimizer: optax.OptState


Step = jax.stages.Wrapped  # see `make_step`; it can also be lowered without being run


def make_step(
    optimizer: optax.GradientTransformation,
    *,
    dtype: jnp.dtype,
    remat: str,
    attention: Implementation,
    loss_chunk: int,
) -> Step:
    """Returns the jitted step; it donates the state.

    Args:
        optimizer: its updates are scaled by the learning rate and subtracted.
        dtype: of the computation.
        remat: what each layer keeps for the backward pass, a name in llama.REMAT.
        attention: the implementation.
        loss_chunk: tokens per device whose logits exist at once.

    Returns:
        (state, batch, wishes to stop int32 [devices], learning rate fp32 [], the frozen model if the state's is
        adapters) → (state, metrics: fp32 scalars loss, gradient_norm and learning_rate, and `stop`, whether any process
        wishes to).
    """
    of_batch = functools.partial(
        loss_and_gradients, dtype=dtype, remat=remat, attention=attention, loss_chunk=loss_chunk
    )

    def step(
        state: TrainState, batch: Batch[jax.Array], stop: jax.Array, rate: jax.Array, frozen: Llama | None = None
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        value, gradients = of_batch(state.model, batch, frozen)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an int32
            updates, moments = optimizer.update(gradients, state.optimizer, state.model)
        metrics = {
            "loss": value,
            "gradient_norm": optax.tree.norm(gradients),
            "learning_rate": rate,
            "stop": stop.max(),
        }
        model = jax.tree.map(lambda parameter, update: parameter - rate * update, state.model, updates)
        return TrainState(state.step + 1, model, moments), metrics

    return jax.jit(step, donate_argnums=0)


def loss_and_gradients(
    trained: Llama | Adapters,
    batch: Batch[jax.Array],
    frozen: Llama | None = None,
    *,
    dtype: jnp.dtype,
    remat: str,
    attention: Implementation,
    loss_chunk: int,
) -> tuple[jax.Array, Llama | Adapters]:
    """Returns the loss of a batch, fp32 [], and its gradient in the trained tree's form, accumulated over the parts.

    Args:
        trained: parameters, layers stacked, or adapters.
        batch: of one step.
        frozen: the model that adapters are of, layers stacked, in the compute dtype; it gets no gradient.
        dtype, remat, attention, loss_chunk: as for `make_step`.
    """

    def loss(trained: Llama | Adapters, part: Batch[jax.Array]) -> jax.Array:
        model = trained if isinstance(trained, Llama) else llama.with_adapters(cast(Llama, frozen), trained)
        hidden = llama.forward(
            model, part.tokens, part.segments, part.positions, dtype=dtype, remat=remat, attention=attention
        )
        return cross_entropy(hidden, model.output_table, part.targets, part.weights, loss_chunk)

    def add(total: Any, part: Batch[jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, of_part(trained, part)), None

    of_part = jax.value_and_grad(loss)
    first = of_part(trained, jax.tree.map(lambda x: x[0], batch))
    if batch.tokens.shape[0] == 1:
        return first  # needs no second copy of the gradients to add to
    return jax.lax.scan(add, first, jax.tree.map(lambda x: x[1:], batch))[0]


def make_state(model: Llama | Adapters, optimizer: optax.GradientTransformation, mesh: Mesh) -> TrainState:
    """Returns the state before the first step; it donates the model."""
    start = functools.partial(_fresh_state, optimizer)
    return jax.jit(start, out_shardings=shardings(jax.eval_shape(start, model), mesh), donate_argnums=0)(model)


def make_adapters(lora: Lora, config: LlamaConfig, seed: int, mesh: Mesh) -> Adapters:
    """Returns adapters that add nothing yet."""
    make = functools.partial(Adapters, lora, config)
    key = jax.random.key(seed)
    return jax.jit(make, out_shardings=partition.shardings(jax.eval_shape(make, key), mesh))(key)


def abstract_state(
    config: LlamaConfig, optimizer: optax.GradientTransformation, mesh: Mesh, lora: Lora | None = None
) -> TrainState:
    """Returns shapes, dtypes and shardings of a state, without making it: what a checkpoint is restored into.

    Args:
        config: of the model.
        optimizer: of the run.
        mesh: the devices.
        lora: the adapters, if they are trained and not the model.
    """

    def make() -> TrainState:
        key = jax.random.key(0)
        model = Adapters(lora, config, key) if lora else Llama(config, key, dtype=jnp.float32, stacked=True)
        return _fresh_state(optimizer, model)

    state = jax.eval_shape(make)
    return abstract(state, shardings(state, mesh))


def abstract_model(config: LlamaConfig, mesh: Mesh, dtype: jnp.dtype) -> Llama:
    """Returns shapes, dtypes and shardings of a model with stacked layers."""
    model = jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=dtype, stacked=True))
    return abstract(model, partition.shardings(model, mesh))


def abstract(tree: T, places: Any) -> T:
    """Returns a tree of shapes and dtypes with the shardings of another."""
    return jax.tree.map(lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree, places)


def _fresh_state(optimizer: optax.GradientTransformation, model: Llama | Adapters) -> TrainState:
    return TrainState(jnp.int32(0), model, optimizer.init(model))


def shardings(state: TrainState, mesh: Mesh) -> Any:
    """Returns where every leaf of a state lives: moments beside their parameters, counts everywhere."""

    def of(path: tuple[object, ...], leaf: Any) -> NamedSharding:
        if leaf.ndim == 0:
            return NamedSharding(mesh, P())
        return partition.sharding(partition.role_of(path), leaf.shape, mesh)

    return jax.tree.map_with_path(of, state)


def put(batch: Batch[np.ndarray], stop: bool, rate: float, mesh: Mesh) -> tuple[Batch[jax.Array], jax.Array, jax.Array]:
    """Returns on the devices what a step takes besides the state.

    Args:
        batch: the same on every process; each gives its own devices their rows.
        stop: whether this process wishes to stop; the step tells all others.
        rate: the learning rate.
        mesh: the devices.
    """

    def place(x: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(x.shape, partition.sharding("tokens", x.shape, mesh), x.__getitem__)

    def spread(x: np.ndarray, spec: P) -> jax.Array:
        return jax.make_array_from_callback(x.shape, NamedSharding(mesh, spec), x.__getitem__)

    wishes = np.full(mesh.size, stop, np.int32)
    with jax.transfer_guard_host_to_device("allow"):  # the loop's only intended transfer
        return jax.tree.map(place, batch), spread(wishes, P(AXES)), spread(np.array(rate, np.float32), P())
