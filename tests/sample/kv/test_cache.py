"""Cached decoding equals the full forward: shared prompts, samples of any age side by side, one device and eight."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.model import architecture, partition
from rft_jax.model.llama import Llama, forward, stack_layers
from rft_jax.runtime import make_mesh
from rft_jax.sample.kv.decode_step import step
from rft_jax.sample.kv.flush import flush
from rft_jax.sample.kv.paged_attention import Reading
from rft_jax.sample.kv.pages import CacheSizes, empty, forget
from rft_jax.sample.kv.prefill import prefill, read_prefix

F32 = jnp.float32
CONFIGS = {
    "gqa": architecture.size("tiny-gqa"),
    "three-heads": dataclasses.replace(architecture.size("tiny"), heads=3, kv_heads=3, head_width=8, width=24),
    "scaled": dataclasses.replace(
        architecture.size("tiny"), rope_scaling=architecture.Llama3Scaling(8.0, 1.0, 4.0, 16), tied_embeddings=True
    ),
    "window": dataclasses.replace(
        architecture.size("tiny-gqa"), qkv_bias=True, output_bias=True, query_key_norm=True, window=6, full_layers=1
    ),
}
PAGE_SIZE, WIDTH = 4, 8
# What one device does: three prompts (one empty), five rows. Row 2 stays with prompt 0, and so on; each row reads one
# sample after another, of the given lengths, each from the start of a page, though most end in the middle of one.
PROMPTS = [7, 0, 4]
ROW_SLOT = [0, 2, 0, 1, 2]
SAMPLES = [[13], [3, 9], [1, 1, 11], [6, 5], [2, 10]]
STEPS = 20
SIZES = CacheSizes(
    rows=5, slots=3, seats=2, samples=2, prompt_pages=6, history_pages=14, prompt_width=8, response_width=13,
    page_size=PAGE_SIZE, reading=Reading(rows=2),
)  # fmt: skip


@dataclasses.dataclass
class Story:
    """What every device does, with its own random tokens.

    Attributes:
        prompts: [devices × slots] token lists.
        samples: [devices × rows] lists of samples, token lists.
    """

    prompts: list[list[int]]
    samples: list[list[list[int]]]

    @classmethod
    def random(cls, devices, vocabulary):
        draw = lambda length: np.random.default_rng(next(seeds)).integers(0, vocabulary, length).tolist()  # noqa: E731
        seeds = iter(range(10_000))
        prompts = [draw(length) for _ in range(devices) for length in PROMPTS]
        return cls(prompts, [[draw(n) for n in lengths] for _ in range(devices) for lengths in SAMPLES])


def decode(model, story, devices, prefix=(), sizes=SIZES):
    """Returns for each row and sample its logits, [length, V]."""
    jit = lambda f, *donated: jax.jit(f, static_argnames=("dtype",), donate_argnums=donated)  # noqa: E731
    rows, slots = devices * SIZES.rows, devices * SIZES.slots
    read = jit(read_prefix)(model, jnp.asarray(prefix, jnp.int32), dtype=F32) if prefix else None
    state = jax.jit(lambda: empty(model, sizes, F32, read))()

    tokens = np.zeros((slots, WIDTH), np.int32)
    for slot, prompt in enumerate(story.prompts):
        tokens[slot, : len(prompt)] = prompt
    lengths = np.array(PROMPTS * devices, np.int32)
    pages = np.array([[3, 1], [6, 6], [0, 6]] * devices, np.int32)  # 6, beyond the pool, is no page
    order = np.tile(np.arange(SIZES.slots, dtype=np.int32), devices)
    batch = tokens, lengths, order, pages
    state = jit(prefill, 5)(model, *map(jnp.asarray, batch), state, dtype=F32)
    reach, depth = (partition.place(jnp.full(devices, value, jnp.int32), "lengths") for value in (4, 2))
    state = dataclasses.replace(state, prompts=dataclasses.replace(state.prompts, reach=reach, depth=depth))

    members = np.full((SIZES.slots, SIZES.seats), SIZES.rows, np.int32)
    seats = np.zeros(SIZES.rows, np.int32)
    for row, slot in enumerate(ROW_SLOT):
        seat = int(np.sum(np.array(ROW_SLOT[:row]) == slot))
        members[slot, seat], seats[row] = row, 2 * slot + seat
    members, seats = np.tile(members, (devices, 1)), np.tile(seats, devices)
    slot_of = np.tile(ROW_SLOT, devices)

    take_step, move = jit(step, 3), jax.jit(flush, donate_argnums=0)
    logits = [[[] for _ in samples] for samples in story.samples]
    sample, age, resting = np.zeros(rows, int), np.zeros(rows, np.int32), np.zeros(rows, bool)
    resting[2::3] = True  # so that they begin half a page later
    for now in range(STEPS):
        place = now % PAGE_SIZE
        if place == PAGE_SIZE // 2 or (place == 0 and now > 0):
            resting[:] = False
        left = np.array([s < len(samples) for s, samples in zip(sample, story.samples, strict=True)])
        live = left & ~resting
        fresh = jnp.asarray(live & (age > 0))
        state = forget(state, partition.place(~fresh, "lengths"))
        read_now = [story.samples[r][sample[r]][age[r]] if live[r] else 0 for r in range(rows)]
        positions = len(prefix) + np.array(PROMPTS, np.int32)[slot_of] + age
        columns = np.where(live, age % PAGE_SIZE, place).astype(np.int32)
        now_inputs = np.array(read_now, np.int32), positions, state, members, seats, columns, np.int32(place)
        new, state = take_step(model, *now_inputs, dtype=F32)
        for row in np.flatnonzero(live):
            logits[row][sample[row]].append(np.asarray(new)[row])
        age += live
        done = [bool(live[r]) and age[r] == len(story.samples[r][sample[r]]) for r in range(rows)]
        sample, age = sample + done, np.where(done, 0, age).astype(np.int32)
        resting |= np.array(done)
        if (now + 1) % (PAGE_SIZE // 2) == 0:
            state, lost = move(state, live & ~resting, age % PAGE_SIZE == 0, age)
            assert not np.any(lost)
    return [[np.stack(sample) for sample in samples] for samples in logits]


def full(model, story, devices, prefix=()):
    run = jax.jit(lambda model, *batch: model.logits(forward(model, *batch, dtype=F32)))
    stacked, longest = stack_layers(model), max(PROMPTS) + 13 + len(prefix)
    results = []
    for row, samples in enumerate(story.samples):
        slot = row // SIZES.rows * SIZES.slots + ROW_SLOT[row % SIZES.rows]
        before = [*prefix, *story.prompts[slot]]
        results.append([])
        for sample in samples:
            tokens = np.zeros((1, longest), np.int32)
            tokens[0, : len(before) + len(sample)] = [*before, *sample]
            segments = (np.arange(longest)[None] < len(before) + len(sample)).astype(np.int32)
            positions = np.arange(longest, dtype=np.int32)[None]
            logits = run(stacked, tokens, segments, positions)
            results[-1].append(np.asarray(logits)[0, len(before) : len(before) + len(sample)])
    return results


def assert_equal(got, expected):
    for row, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        for sample, pair in enumerate(zip(ours, theirs, strict=True)):
            np.testing.assert_allclose(*pair, atol=2e-5, rtol=1e-5, err_msg=f"row {row}, sample {sample}")


def scaled_model(config):
    # Four times the usual weights, as attention that is nearly uniform would hide a wrong mask; and biases from zero.
    return jax.tree.map(lambda x: 4 * x + 0.05, Llama(config, jax.random.key(0), dtype=F32, stacked=False))


@pytest.mark.parametrize("kind", CONFIGS)
def test_cached_equals_full(kind):
    model = scaled_model(CONFIGS[kind])
    story = Story.random(1, CONFIGS[kind].vocabulary)
    assert_equal(decode(model, story, 1), full(model, story, 1))


@pytest.mark.parametrize(
    ("kind", "reading"),
    [
        ("gqa", Reading("sweep", pages=4, columns=2)),
        ("gqa", Reading("walk")),
        ("gqa", Reading("sweep")),
        ("gqa", Reading("kernel")),
        ("window", Reading("sweep", pages=4)),
        ("window", Reading("kernel")),
    ],
    ids=str,
)
def test_pools_are_read_in_either_way_with_keys_in_either_order(kind, reading):
    model = scaled_model(CONFIGS[kind])
    story = Story.random(1, CONFIGS[kind].vocabulary)
    prefix = (5, 9, 9, 2, 200)
    sizes = dataclasses.replace(SIZES, key_order="ch", reading=reading)  # as on GPUs
    assert_equal(decode(model, story, 1, prefix, sizes), full(model, story, 1, prefix))


@pytest.mark.parametrize("kind", ["gqa", "three-heads", "window"])
def test_cached_equals_full_after_a_common_prefix(kind):
    model = scaled_model(CONFIGS[kind])
    story = Story.random(1, CONFIGS[kind].vocabulary)
    prefix = (5, 9, 9, 2, 200)
    assert_equal(decode(model, story, 1, prefix), full(model, story, 1, prefix))


@pytest.mark.parametrize("sizes", [(8, 1, 1), (1, 4, 2), (2, 1, 4), (1, 1, 8)], ids=str)
@pytest.mark.parametrize("prefix", [(), (5, 9, 9)], ids=["", "prefix"])
def test_eight_devices(sizes, prefix):
    """With 2 key-value heads for 4 query heads, so that tensor = 4 has to repeat heads, and 8 cannot split them."""
    model = scaled_model(CONFIGS["window"])
    devices = sizes[0] * sizes[1]
    story = Story.random(devices, CONFIGS["window"].vocabulary)
    expected = full(model, story, devices, prefix)
    mesh = make_mesh(*sizes)
    with jax.set_mesh(mesh):
        on_mesh = jax.device_put(model, partition.shardings(model, mesh))
        assert_equal(decode(on_mesh, story, devices, prefix), expected)


def test_the_youngest_rows_give_way():
    model = Llama(architecture.size("tiny"), jax.random.key(0), dtype=F32, stacked=False)
    sizes = dataclasses.replace(SIZES, history_pages=6)
    state = empty(model, sizes, F32)
    move = jax.jit(flush)
    rows = jnp.arange(5, dtype=jnp.int32)
    everyone = jnp.ones(5, bool)
    state, lost = move(state, everyone, everyone, rows)
    assert not np.any(lost)
    state, lost = move(state, everyone, ~everyone, rows)  # no page is full
    assert not np.any(lost)
    state, lost = move(state, everyone, everyone, rows)
    assert lost.tolist() == [True, True, False, False, False]  # 3 rows have room for 2 pages each
    state, lost = move(state, everyone, everyone, rows)
    assert lost.tolist() == [True, True, True, False, False]
    pages = np.asarray(state.history.pages)
    assert sorted(pages[pages < 6].tolist()) == list(range(6))
    assert np.sum(pages < 6, axis=1).tolist() == [0, 0, 0, 3, 3]


def test_programs_update_the_cache_in_place():
    """A copied cache would show as temporaries of its size in the compiled program."""
    config = dataclasses.replace(
        architecture.size("tiny"), vocabulary=64, width=128, heads=2, kv_heads=2, head_width=64
    )
    model = Llama(config, jax.random.key(0), dtype=F32, stacked=False)
    sizes = CacheSizes(
        rows=16,
        slots=4,
        seats=8,
        samples=8,
        prompt_pages=512,
        history_pages=512,
        prompt_width=32,
        response_width=256,
        page_size=16,
    )
    state = jax.eval_shape(lambda: empty(model, sizes, F32))
    cache_bytes = sum(leaf.size * 4 for leaf in jax.tree.leaves(state.layers))
    int32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)  # noqa: E731
    programs = {
        "step": (step, 3, (model, int32(16), int32(16), state, int32(4, 8), int32(16), int32(16), int32())),
        "flush": (flush, 0, (state, *[jax.ShapeDtypeStruct((16,), jnp.bool)] * 2, int32(16))),
        "prefill": (prefill, 5, (model, int32(2, 32), int32(2), int32(2), int32(2, 2), state)),
    }
    for name, (function, donated, arguments) in programs.items():
        dtype = {} if name == "flush" else {"dtype": F32}
        jitted = jax.jit(function, static_argnames=tuple(dtype), donate_argnums=donated)
        memory = jitted.lower(*arguments, **dtype).compile().memory_analysis()
        assert memory.alias_size_in_bytes >= cache_bytes, name
        assert memory.temp_size_in_bytes < 0.15 * cache_bytes, name


def test_a_stacked_model_is_refused():
    stacked, apart = (
        Llama(architecture.size("tiny"), jax.random.key(0), dtype=F32, stacked=stacked) for stacked in (True, False)
    )
    state = empty(apart, SIZES, F32)
    one = jnp.zeros(1, jnp.int32)
    with pytest.raises(ValueError, match="unstack"):
        prefill(stacked, jnp.ones((1, 8), jnp.int32), one, one, jnp.zeros((1, 2), jnp.int32), state, F32)
