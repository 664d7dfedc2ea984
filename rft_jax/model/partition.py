"""Where every tensor lives: the one table from a tensor's role to its PartitionSpec.

The mesh has three axes: `data` (data parallelism), `fsdp` (data parallelism with split parameters) and `tensor`
(heads, MLP width and vocabulary). The batch is split over data × fsdp, parameters over fsdp × tensor. A layer gathers
its parameters along fsdp just before use, and the gradient of that gather is the reduce-scatter.

The axes are explicit (`jax.sharding.AxisType.Explicit`): a layout that does not fit fails while tracing, on a laptop
with fake devices, and not as a silent copy on the cluster.
"""

import math
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.runtime import AXES

BATCH = ("data", "fsdp")

TABLE: dict[str, P] = {
    # Parameters, named as the attributes that hold them. Stacked layers have one more axis in front, never split.
    "embedding": P("tensor", "fsdp"),  # [V, D]
    "head": P("tensor", "fsdp"),  # [V, D]
    "query": P("tensor", None, "fsdp"),  # [N, H, D]
    "key": P("tensor", None, "fsdp"),  # [K, H, D]
    "value": P("tensor", None, "fsdp"),  # [K, H, D]
    "output": P("fsdp", "tensor", None),  # [D, N, H]
    "query_bias": P("tensor", None),  # [N, H]
    "key_bias": P("tensor", None),  # [K, H]
    "value_bias": P("tensor", None),  # [K, H]
    "output_bias": P(None),  # [D]
    "query_norm": P(None),  # [H]
    "key_norm": P(None),  # [H]
    "gate": P("tensor", "fsdp"),  # [F, D]
    "up": P("tensor", "fsdp"),  # [F, D]
    "down": P("fsdp", "tensor"),  # [D, F]
    "attention_norm": P(None),  # [D]
    "mlp_norm": P(None),  # [D]
    "final_norm": P(None),  # [D]
    # Activations.
    "tokens": P(BATCH, None),  # [B, T]
    "hidden": P(BATCH, None, None),  # [B, T, D]
    "heads": P(BATCH, None, "tensor", None),  # [B, T, N or K, H]
    "logits": P(BATCH, None, "tensor"),  # [B, T, V]
    # Caches: a sequence stays on one data-parallel device with its prompt, so that attention needs no communication.
    "pages": P(BATCH, "tensor", None, None),  # [M or B, K, H, C], or [M or B, K, C, H]
    "prefix": P("tensor", None, None),  # [K, H, P] or [K, P, H]
    # Sampling a token needs a whole row of logits, so here the tensor axis splits rows.
    "whole_logits": P((*BATCH, "tensor"), None),  # [B, V]
    "choices": P((*BATCH, "tensor")),  # [B]
    "lengths": P(BATCH),  # [B]
    "scalar": P(),  # []
}

T = TypeVar("T")


def spec(role: str, shape: tuple[int, ...], mesh: Mesh | AbstractMesh, keep: tuple[str, ...] = AXES) -> P:
    """Returns the table's spec as far as the shape allows.

    A mesh axis that does not divide its dimension (vocabulary 32001, 8 key-value heads on 16 devices) is left out
    there: that tensor is then repeated along the axis, which costs memory and is always right.

    Args:
        role: a key of TABLE.
        shape: the tensor's whole shape; one dimension more than the role's means stacked layers.
        mesh: the mesh that the spec is for.
        keep: the mesh axes to split over; the others are left out.

    Raises:
        ValueError: the rank is not the role's.
    """
    entries = tuple(TABLE[role])
    if len(shape) == len(entries) + 1:
        entries = (None, *entries)
    if len(shape) != len(entries):
        raise ValueError(f"{role} has {len(entries)} dimensions (one more when stacked), got shape {shape}")
    return P(*(_axes_that_divide(entry, size, mesh, keep) for entry, size in zip(entries, shape, strict=True)))


def _axes_that_divide(entry: object, size: int, mesh: Mesh | AbstractMesh, keep: tuple[str, ...]) -> object:
    wanted = entry if isinstance(entry, tuple) else (entry,)
    taken: list[str] = []
    parts = 1
    for axis in wanted:
        if axis in keep and size % (parts * mesh.shape[axis]) == 0:
            parts *= mesh.shape[axis]
            taken.append(axis)
    return tuple(taken) if len(taken) > 1 else taken[0] if taken else None


def sharding(role: str, shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    """Returns where a tensor of this role and shape lives on the mesh."""
    return NamedSharding(mesh, spec(role, shape, mesh))


def shardings(tree: T, mesh: Mesh) -> T:
    """Returns the sharding of every parameter in a model (arrays or ShapeDtypeStructs), as a tree of the same form."""
    return jax.tree.map_with_path(lambda path, leaf: sharding(role_of(path), leaf.shape, mesh), tree)


def role_of(path: tuple[object, ...]) -> str:
    """Returns the role of a parameter from its path in a model, or in a tree of the model's form (gradients, moments).

    Raises:
        ValueError: the table does not know it.
    """
    # A path ends with the name of the attribute that holds the nnx.Param, and the Param's own field `value`.
    name = getattr(path[-2], "name", None)
    if name not in TABLE:
        raise ValueError(f"no partition role for the parameter {jax.tree_util.keystr(path)}; add one to TABLE")
    return name


def place(x: jax.Array, role: str) -> jax.Array:
    """Lays out an activation as its role says; without a mesh in context it does nothing."""
    mesh = jax.sharding.get_abstract_mesh()
    return x if mesh.empty else jax.reshard(x, spec(role, x.shape, mesh))


def everywhere(x: jax.Array) -> jax.Array:
    """Lays out an array whole on every device, where every process can read it; without a mesh it does nothing."""
    mesh = jax.sharding.get_abstract_mesh()
    return x if mesh.empty else jax.reshard(x, P())


def gathered(parameter: jax.Array, role: str, dtype: jnp.dtype) -> jax.Array:
    """Returns a parameter in the compute dtype, whole along fsdp and still split along tensor.

    The cast comes first, so that bf16 and not fp32 travels between the devices.
    """
    parameter = parameter.astype(dtype)
    mesh = jax.sharding.get_abstract_mesh()
    return parameter if mesh.empty else jax.reshard(parameter, spec(role, parameter.shape, mesh, keep=("tensor",)))


def batch_devices() -> int:
    """Returns how many parts the mesh in context splits the batch into, 1 without a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else math.prod(mesh.shape[axis] for axis in BATCH)


def result(role: str, shape: tuple[int, ...]) -> P | None:
    """Returns the `out_sharding` of an operation whose result has this role, or None without a mesh in context."""
    mesh = jax.sharding.get_abstract_mesh()
    return None if mesh.empty else spec(role, shape, mesh)
