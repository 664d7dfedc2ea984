"""Which row decodes which sample: on the device, so that a row whose sample has ended starts the next one at once.

A *slot* holds the prompt of a job, and the samples wanted of it. It has *seats* for up to R rows. A free row takes the
next sample of the first slot, in the host's order, that has both a sample and a seat left. Slots, rows and seats are
numbered per device.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from rft_jax.model import partition
from rft_jax.model.attention import per_device
from rft_jax.sample.kv.pages import CacheSizes

Array = Any  # numpy's on the host, JAX's on the devices

NONE = -1  # stands for no sample


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["token", "sample", "count", "column", "slot", "seat"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class Rows:
    """What each row decodes.

    Attributes:
        token: int32 [B], the token to read next.
        sample: int32 [B], the sample's number, or NONE for an idle row.
        count: int32 [B], tokens of the response so far.
        column: int32 [B], the position in its current page that it writes next; 0 once that is full.
        slot: int32 [B], where its prompt is; `no_slot` for a row without a seat.
        seat: int32 [B], its column in `Slots.members`; arbitrary without a seat.
    """

    token: Array
    sample: Array
    count: Array
    column: Array
    slot: Array
    seat: Array


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["problem", "last_token", "length", "begun", "samples", "size", "taken", "members"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Slots:
    """What is wanted of each slot, and who sits there.

    Attributes:
        problem: int32 [slots], its number.
        last_token: int32 [slots], the last token of the prompt, which each sample reads first.
        length: int32 [slots], how many tokens precede it, the prefix included.
        begun: int32 [slots], how many tokens of the response are part of the prompt: of a sample that is resumed.
        samples: int32 [slots, samples], the numbers of the samples, as many as `size` says.
        size: int32 [slots].
        taken: int32 [slots], how many of them have started.
        members: int32 [slots, R], the row in each seat; `no_row` for an empty one.
    """

    problem: Array
    last_token: Array
    length: Array
    begun: Array
    samples: Array
    size: Array
    taken: Array
    members: Array


_ROWS = Rows("lengths", "lengths", "lengths", "lengths", "lengths", "lengths")
_SLOTS = Slots("lengths", "lengths", "lengths", "lengths", "tokens", "lengths", "lengths", "tokens")


def nobody(sizes: CacheSizes) -> tuple[Rows, Slots]:
    """Returns idle rows and empty slots, on the mesh in context."""
    devices = partition.batch_devices()

    def full(value: int, role: str, *shape: int) -> jax.Array:
        return partition.place(jnp.full((shape[0] * devices, *shape[1:]), value, jnp.int32), role)

    def row(value: int) -> jax.Array:
        return full(value, "lengths", sizes.rows)

    def slot(value: int) -> jax.Array:
        return full(value, "lengths", sizes.slots)

    rows = Rows(token=row(0), sample=row(NONE), count=row(0), column=row(0), slot=row(sizes.no_slot), seat=row(0))
    slots = Slots(
        problem=slot(0), last_token=slot(0), length=slot(0), begun=slot(0),
        samples=full(0, "tokens", sizes.slots, sizes.samples), size=slot(0), taken=slot(0),
        members=full(sizes.no_row, "tokens", sizes.slots, sizes.seats),
    )  # fmt: skip
    return rows, slots


def open_slots(slots: Slots, at: jax.Array, new: Slots) -> Slots:
    """Gives slots to new jobs, in which nobody sits yet.

    Args:
        slots: of all devices.
        at: int32 [G], the slot of each; `no_slot` for none.
        new: of G jobs; its members are not looked at.
    """
    names = [field.name for field in dataclasses.fields(Slots) if field.name != "members"]

    def write(at, *arrays):  # type: ignore[no-untyped-def]
        old, values = arrays[: len(names)], arrays[len(names) :]
        return tuple(x.at[at].set(value, mode="drop") for x, value in zip(old, values, strict=True))

    operands = [(getattr(_SLOTS, name), getattr(source, name)) for source in (slots, new) for name in names]
    written = per_device(write, ("lengths", at), *operands, like=tuple(range(1, 1 + len(names))))
    return dataclasses.replace(slots, **dict(zip(names, written, strict=True)))


def seat(rows: Rows, slots: Slots, order: jax.Array, room: jax.Array) -> tuple[Rows, Slots, jax.Array, Slots]:
    """Lets idle rows leave their seats, and start samples.

    Args:
        rows, slots: of all devices.
        order: int32 [slots], the slots in the order in which samples are taken from them.
        room: int32 [1] per device, how many may still start.

    Returns:
        Rows, slots and room afterwards, and what is wanted of each row's slot, [B, ...]; arbitrary for an idle row.
    """
    leaves, structure = jax.tree.flatten((rows, slots))
    roles = [*jax.tree.leaves(_ROWS), *jax.tree.leaves(_SLOTS)]
    asked = [field.name for field in dataclasses.fields(Slots)[:4]]

    def on_device(order: jax.Array, room: jax.Array, *leaves: jax.Array) -> tuple[jax.Array, ...]:
        rows, slots = jax.tree.unflatten(structure, leaves)
        rows, slots, room = _seat_on_device(rows, slots, order, room)
        asked_of = (getattr(slots, name).at[rows.slot].get(mode="clip") for name in asked)
        return (room, *jax.tree.leaves((rows, slots)), *asked_of)

    operands = ("lengths", order), ("lengths", room), *zip(roles, leaves, strict=True)
    like = (1, *range(2, 2 + len(leaves)), *[2] * len(asked))
    room, *results = per_device(on_device, *operands, like=like)
    rows, slots = jax.tree.unflatten(structure, results[: len(leaves)])
    of_row = dataclasses.replace(slots, **dict(zip(asked, results[len(leaves) :], strict=True)))
    return rows, slots, room, of_row


def _seat_on_device(rows: Rows, slots: Slots, order: jax.Array, room: jax.Array) -> tuple[Rows, Slots, jax.Array]:
    no_slot, no_row = len(slots.size), len(rows.sample)
    numbers = jnp.arange(len(rows.sample), dtype=jnp.int32)
    idle = rows.sample == NONE
    members = slots.members.at[jnp.where(idle, rows.slot, no_slot), rows.seat].set(no_row, mode="drop")
    # The n-th idle row takes the n-th sample that can start, counted through the slots in their order.
    empty = members == no_row
    able = jnp.minimum(slots.size - slots.taken, jnp.sum(empty, axis=1))[order]
    upto = jnp.cumsum(able)
    rank = jnp.cumsum(idle) - 1
    count = jnp.minimum(jnp.minimum(room[0], upto[-1]), rank[-1] + 1)
    starts = idle & (rank < count)
    place = jnp.sum(upto[None, :] <= rank[:, None], axis=1)
    before = (upto - able).at[place].get(mode="clip")
    slot = jnp.where(starts, order.at[place].get(mode="clip"), jnp.where(idle, no_slot, rows.slot))
    nth = jnp.where(starts, rank - before, 0)

    def of_slot(x: jax.Array) -> jax.Array:
        return x.at[slot].get(mode="clip")

    free = jnp.cumsum(of_slot(empty), axis=1) == nth[:, None] + 1
    seat = jnp.where(starts, jnp.argmax(free, axis=1), rows.seat).astype(jnp.int32)
    sample = slots.samples.at[slot, of_slot(slots.taken) + nth].get(mode="clip")
    members = members.at[jnp.where(starts, slot, no_slot), seat].set(numbers, mode="drop")
    started = jnp.clip(count - (upto - able), 0, able).astype(jnp.int32)
    rows = Rows(
        token=jnp.where(starts, of_slot(slots.last_token), rows.token),
        sample=jnp.where(starts, sample, rows.sample),
        count=jnp.where(starts, of_slot(slots.begun), rows.count),
        column=jnp.where(starts, 0, rows.column),
        slot=slot,
        seat=seat,
    )
    started_of = jnp.zeros_like(slots.taken).at[order].set(started, unique_indices=True)
    slots = dataclasses.replace(slots, taken=slots.taken + started_of, members=members)
    return rows, slots, room - count.astype(jnp.int32)
