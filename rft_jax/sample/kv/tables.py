"""Which pages each row sees: its own, and those that it shares with others; and from where on it sees them."""

import dataclasses
import functools

import jax

KeysValues = tuple[jax.Array, jax.Array]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["owner", "pages", "reach", "depth"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class PageTable:
    """Which page of a pool is whose. On each device a page number of M or more stands for no page.

    Attributes:
        owner: int32 [M], the row or slot that each page belongs to; arbitrary for a free page.
        pages: int32 [X, E], the pages of each row or slot; no page where it has fewer than E.
        reach: int32 [1] per device, one past the highest page in use.
        depth: int32 [1] per device, the most pages that a row or slot has.
    """

    owner: jax.Array
    pages: jax.Array
    reach: jax.Array
    depth: jax.Array


@dataclasses.dataclass(frozen=True)
class OwnPages:
    """What each row has to itself.

    Attributes:
        current: keys and values [B, ...] of the page that each row is writing.
        columns: int32 [B], the last position of it that each row sees.
        history: keys and values [M, ...] of a pool of full pages.
        table: which of them is which row's.
    """

    current: KeysValues
    columns: jax.Array
    history: KeysValues
    table: PageTable


@dataclasses.dataclass(frozen=True)
class SharedPages:
    """What rows share.

    Attributes:
        prompts: keys and values [M, ...] of a pool.
        filled: int32 [M], tokens in each page.
        table: which of them is which slot's.
        members: int32 [slots, R], the rows that share each slot; B or more for an empty seat.
        seats: int32 [B], the index of each row in `members`, flattened; slots · R for a row without a seat, which sees
            no prompt.
        prefix: keys, [K, H, P] or [K, P, H], and values [K, P, H] of the tokens that all prompts begin with; or None.
    """

    prompts: KeysValues
    filled: jax.Array
    table: PageTable
    members: jax.Array
    seats: jax.Array
    prefix: KeysValues | None


@dataclasses.dataclass(frozen=True)
class Window:
    """How far back each row sees.

    Attributes:
        size: positions, its own included.
        positions: int32 [B], of each row's token in its sequence (prefix, prompt and response).
    """

    size: int
    positions: jax.Array
