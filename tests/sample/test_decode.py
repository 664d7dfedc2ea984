"""Greedy decoding equals transformers' generate; samples of a problem are independent; programs copy no cache."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from jax.sharding import AxisType

from rft_jax import runtime
from rft_jax.hf import pretrained
from rft_jax.model import architecture, partition
from rft_jax.model.llama import Llama, forward
from rft_jax.runtime import make_mesh
from rft_jax.sample import capacity, decode, prompts
from rft_jax.sample.admission import Admission
from rft_jax.sample.engine import DeviceEngine, responses
from rft_jax.sample.job import Job
from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.sampling import SamplingParameters
from rft_jax.sample.schedule import Schedule
from rft_jax.task.templates.paper import instruction
from tests.sample.conftest import END, save_tokenizer
from tests.shared_data import shared

F32 = jnp.float32
MAX_NEW = 24


def one_device():
    return jax.make_mesh((1, 1, 1), runtime.AXES, (AxisType.Explicit,) * 3, devices=jax.devices()[:1])


def run(
    model,
    prompt_tokens,
    *,
    k=1,
    parameters,
    rows,
    max_new=MAX_NEW,
    history_pages=None,
    end_tokens=(END,),
    split=True,
    mesh_sizes=(1, 8, 1),
    logprobs=False,
    careless=False,
):
    """Returns for each problem the responses, as token lists by sample; with `logprobs` as `Response`s.

    Where it is careless, all samples start that rows can take, whatever room there is, so that some lose their pages.
    """
    encoded = prompts.split(prompt_tokens) if split else prompts.Prompts(np.zeros(0, np.int32), prompt_tokens)
    mesh = make_mesh(*mesh_sizes) if mesh_sizes else one_device()
    model = jax.device_put(model, partition.shardings(model, mesh))
    lengths = capacity.Lengths(
        np.array([len(own) for own in encoded.own]), np.full(len(prompt_tokens), max_new), max_new
    )
    sizes = capacity.cache_sizes(rows, lengths, k, history_pages)
    engine = DeviceEngine(
        model, mesh, sizes, prefix=encoded.prefix, parameters=parameters, stop=decode.stop_at(end_tokens),
        max_new=max_new, seed=7, dtype=F32, logprobs=logprobs,
    )  # fmt: skip
    schedule = Schedule(sizes, devices=capacity.devices(mesh), skipped=len(encoded.prefix), logprobs=logprobs)
    work = iter([Job(number, own, tuple(range(k))) for number, own in enumerate(encoded.own)])
    found = [[None] * k for _ in prompt_tokens]
    with pytest.MonkeyPatch.context() as patch, jax.transfer_guard("disallow"):
        if careless:
            patch.setattr(Admission, "room", lambda self, held, *, waiting: waiting)
        for response in responses(engine, schedule, work):
            assert found[response.problem][response.sample] is None
            found[response.problem][response.sample] = response if logprobs else response.tokens.tolist()
        assert (schedule.read_again > 0) == careless  # samples were resumed
    return found


@pytest.fixture(scope="module")
def gsm8k_prompts(tmp_path_factory):
    """Tokens of 200 GSM8K prompts of mixed lengths, under a small tokenizer trained on GSM8K."""
    lines = (shared("data/gsm8k") / "test.jsonl").read_text().splitlines()
    problems = [json.loads(line) for line in lines]
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, [problem["question"] + problem["answer"] for problem in problems], 1000)
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [instruction(problem["question"]) for problem in problems[:200]]
    tokens = [np.array(ids, np.int32) for ids in tokenizer(texts)["input_ids"]]
    assert max(map(len, tokens)) > 2 * min(map(len, tokens))
    return tokens


def trained(model, tokens):
    """Returns the model after some steps towards the given sequences: confident, as a trained one is."""
    width = 64
    rows = np.stack([ids[-width:] for ids in tokens[:32]])
    segments = jnp.ones(rows.shape, jnp.int32)
    positions = jnp.broadcast_to(jnp.arange(width, dtype=jnp.int32)[None], rows.shape)

    optimizer = optax.adam(1e-2)

    @jax.jit
    def update(model, moments):
        def loss(model):
            logits = model.logits(forward(model, rows, segments, positions, dtype=F32))[:, :-1]
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), rows[:, 1:, None], axis=-1))

        updates, moments = optimizer.update(jax.grad(loss)(model), moments, model)
        return optax.apply_updates(model, updates), moments

    moments = optimizer.init(model)
    with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
        for _ in range(150):
            model, moments = update(model, moments)
    return model


@pytest.mark.parametrize("kind", ["random", pytest.param("trained", marks=pytest.mark.slow)])
def test_greedy_equals_transformers(kind, gsm8k_prompts, tmp_path):
    torch = pytest.importorskip("torch", reason="the oracle is transformers' generate: install the extra `torch`")
    import transformers

    config = dataclasses.replace(architecture.size("tiny-gqa"), vocabulary=1000)
    model = Llama(config, jax.random.key(1), dtype=F32, stacked=False)
    if kind == "random":
        model = jax.tree.map(lambda x: 4 * x if x.ndim > 1 else x, model)
    else:
        model = trained(model, gsm8k_prompts)
    pretrained.save(model, tmp_path / "m", tokenizer_from=None, dtype=jnp.dtype(F32))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m", attn_implementation="eager")
    ends = [END, 17, 400]  # several, so that some responses end
    expected = []
    for start in range(0, 200, 50):
        batch = gsm8k_prompts[start : start + 50]
        longest = max(map(len, batch))
        ids = torch.tensor(np.stack([np.pad(p, (longest - len(p), 0)) for p in batch]), dtype=torch.long)
        mask = torch.tensor(np.stack([np.pad(np.ones(len(p), int), (longest - len(p), 0)) for p in batch]))
        settings = {"do_sample": False, "max_new_tokens": MAX_NEW, "eos_token_id": ends, "pad_token_id": 0}
        out = theirs.generate(ids, attention_mask=mask, **settings)[:, longest:].tolist()
        for row in out:
            end = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            expected.append(row[:end])
    if kind == "trained":
        assert any(len(set(row)) > 5 for row in expected)  # not one token over and over
    arguments = {"parameters": SamplingParameters(0.0), "end_tokens": tuple(ends)}
    got = run(model, gsm8k_prompts, rows=8, **arguments)
    assert [row for (row,) in got] == expected
    # A batch of one row, without the shared prefix, gives what a batch of 64 gave.
    alone = run(model, gsm8k_prompts[:6], rows=1, split=False, mesh_sizes=(1, 1, 8), **arguments)
    assert alone == got[:6]


@pytest.fixture(scope="module")
def sharp_model():
    model = Llama(architecture.size("tiny-gqa"), jax.random.key(0), dtype=F32, stacked=False)
    return jax.tree.map(lambda x: 4 * x if x.ndim > 1 else x, model)


@pytest.mark.slow
def test_the_whole_machine_draws_the_exact_distribution(sharp_model):
    """First two tokens of 50,000 samples of three prompts: chi-square against the forward pass, and independence."""
    problems, k, vocabulary = 512, 100, 256  # many problems with the same prompt
    samples = problems * k
    parameters = SamplingParameters(0.7, top_k=8)
    tokens = [np.array(ids, np.int32) for ids in ([1, 5, 9, 200], [1, 77], [1])]
    arguments = {"k": k, "parameters": parameters, "rows": 128, "max_new": 2, "end_tokens": (vocabulary,)}
    paths = run(sharp_model, [ids for ids in tokens for _ in range(problems)], **arguments)
    got = np.array(paths).reshape(3, samples, 2)
    ones = jnp.ones((1, 5), jnp.int32)
    positions = jnp.arange(5, dtype=jnp.int32)[None]
    for ids, drawn in zip(tokens, got, strict=True):
        padded = jnp.asarray(np.pad(ids, (0, 5 - len(ids))))[None]
        logits = sharp_model.logits(forward_unstacked(sharp_model, padded, ones, positions))[0, len(ids) - 1]
        scaled = np.asarray(logits, np.float64) / 0.7
        scaled[scaled < np.sort(scaled)[-8]] = -np.inf
        expected = samples * scipy.special.softmax(scaled)
        counts = np.bincount(drawn[:, 0], minlength=vocabulary)
        assert counts[expected == 0].sum() == 0
        kept = expected >= 5
        rare = expected[~kept].sum()
        assert rare < 0.01 * samples
        observed = counts[kept] * (expected[kept].sum() / counts[kept].sum())
        assert scipy.stats.chisquare(observed, expected[kept]).pvalue > 1e-3
        # Neighbouring samples do not know of each other.
        top = np.argsort(-counts)[:4]
        pairs = np.array([[np.sum((drawn[:-1, 0] == a) & (drawn[1:, 0] == b)) for b in top] for a in top])
        pairs = pairs[:, pairs.sum(axis=0) > 0][pairs.sum(axis=1) > 0]
        assert scipy.stats.chi2_contingency(pairs).pvalue > 1e-3
        # Nor does the second token's random number know of the first's: within one first token, halves agree.
        second = drawn[drawn[:, 0] == top[0], 1]
        table = np.stack([np.bincount(half, minlength=vocabulary) for half in (second[0::2], second[1::2])])
        table = table[:, table.sum(axis=0) >= 20]
        assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


def forward_unstacked(model, tokens, segments, positions):
    from rft_jax.model.llama import stack_layers

    return forward(stack_layers(model), tokens, segments, positions, dtype=F32)


@pytest.mark.parametrize(
    "parameters",
    [SamplingParameters(0.7), pytest.param(SamplingParameters(1.0, top_k=50, top_p=0.95), marks=pytest.mark.slow)],
    ids=str,
)
def test_the_same_paths_whatever_the_batch(sharp_model, parameters):
    random = np.random.default_rng(0)
    tokens = [random.integers(3, 256, random.integers(1, 40)).astype(np.int32) for _ in range(12)]
    layouts = [
        {"rows": 4, "mesh_sizes": (1, 8, 1)},
        {"rows": 32, "mesh_sizes": (1, 1, 8)},
        {"rows": 2, "mesh_sizes": (2, 2, 2)},
        {"rows": 9, "mesh_sizes": (4, 1, 2)},
    ]
    first, *others = (
        run(sharp_model, tokens, k=6, parameters=parameters, end_tokens=(3, 5, 99), **layout) for layout in layouts
    )
    assert all(other == first for other in others)
    lengths = [len(path) for paths in first for path in paths]
    assert min(lengths) < MAX_NEW <= max(lengths)  # some ended, some were cut
    fewer = run(sharp_model, tokens[:5], k=2, parameters=parameters, end_tokens=(3, 5, 99), rows=4)
    assert fewer == [paths[:2] for paths in first[:5]]


@pytest.mark.parametrize("ends", [(999,), (3, 5, 99)], ids=["all to the limit", "many to the limit"])
def test_sampling_ends_when_no_response_is_as_short_as_expected(sharp_model, ends):
    """All rows are of one age, and the pool has room for a few of them at full length."""
    tokens = [np.array([1, 5, 9, number], np.int32) for number in range(20)]
    settings = {"parameters": SamplingParameters(0.7), "end_tokens": ends, "max_new": 80, "mesh_sizes": None}
    ample = run(sharp_model, tokens, rows=16, **settings)
    for careless in (False, True):
        assert run(sharp_model, tokens, rows=16, history_pages=9, careless=careless, **settings) == ample
    assert max(len(path) for (path,) in ample) == 80


@pytest.mark.parametrize("history_pages", [None, 6], ids=["ample", "samples are resumed"])
def test_log_probabilities_equal_a_full_forward(sharp_model, history_pages):
    """In paths that were resumed too: the pool has room for the longest sample and a little more."""
    tokens = [np.array([1, 5, 9, number], np.int32) for number in range(12)]
    parameters = SamplingParameters(0.7, top_k=8)
    settings = {"rows": 8, "max_new": 80, "end_tokens": (3, 5, 99), "mesh_sizes": (1, 1, 8), "logprobs": True}
    room = {"history_pages": history_pages, "careless": history_pages is not None}
    found = run(sharp_model, tokens, parameters=parameters, **room, **settings)
    longest = max(len(response.tokens) for (response,) in found)
    assert longest > 60
    for prompt, (response,) in zip(tokens, found, strict=True):
        whole = np.concatenate([prompt, response.tokens])
        padded = jnp.asarray(np.pad(whole, (0, 84 - len(whole))))[None]
        positions = jnp.arange(84, dtype=jnp.int32)[None]
        logits = forward_unstacked(sharp_model, padded, jnp.ones_like(padded), positions)
        logits = np.asarray(sharp_model.logits(logits), np.float64)[0, len(prompt) - 1 : len(whole) - 1]
        for column, temperature in ((0, 0.7), (1, 1.0)):
            expected = scipy.special.log_softmax(logits / temperature, axis=-1)
            expected = np.take_along_axis(expected, response.tokens[:, None], axis=-1)[:, 0]
            np.testing.assert_allclose(response.logprobs[:, column], expected, atol=1e-4)


def decode_program(max_new):
    config = architecture.size("tiny")
    model = jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=F32, stacked=False))
    sizes = capacity.cache_sizes(8, capacity.Lengths(np.full(4, 20), np.full(4, max_new), max_new), 10)
    state = jax.eval_shape(lambda: decode.idle(model, sizes, F32, None))
    int32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)  # noqa: E731
    orders = decode.Orders(int32(sizes.slots), int32(1), int32(8), int32(8), int32(1), int32(1), int32())
    run = functools.partial(
        decode.decode,
        steps=8,
        parameters=SamplingParameters(0.7),
        stop=decode.stop_at((2,)),
        max_new=max_new,
        dtype=F32,
    )
    program = jax.jit(run, donate_argnums=1)
    return program.lower(model, state, orders, jax.ShapeDtypeStruct((2,), jnp.uint32)).as_text()


def test_programs_do_not_grow_with_the_longest_response():
    assert len(decode_program(256).splitlines()) == len(decode_program(8192).splitlines())


@pytest.mark.slow
def test_long_responses():
    """8,192 tokens."""
    config = dataclasses.replace(architecture.size("tiny-gqa"), layers=1, max_positions=9000)
    model = Llama(config, jax.random.key(0), dtype=F32, stacked=False)
    settings = {"parameters": SamplingParameters(0.7), "end_tokens": (999,), "max_new": 8192, "mesh_sizes": None}
    ((path,),) = run(model, [np.array([1, 5, 9], np.int32)], rows=1, **settings)
    assert len(path) == 8192


def test_other_seeds_problems_and_samples_differ(sharp_model):
    same_prompt = [np.array([1, 5, 9], np.int32)] * 4
    got = run(sharp_model, same_prompt, k=8, parameters=SamplingParameters(1.0), rows=4, end_tokens=(999,))
    assert len({tuple(path) for paths in got for path in paths}) == 32


def test_idle_rows_see_no_slot(sharp_model):
    """What a slot without rows gives may be NaN, as a sweep may leave it unread: it must not get into a row's page."""
    prompts_, limit = [np.array([1, 5, 9, number], np.int32) for number in range(2)], 48
    lengths = capacity.Lengths(np.array([4, 4]), np.array([48.0, 48.0]), limit)
    sizes = capacity.cache_sizes(2, lengths, 1)
    mesh = make_mesh(1, 1, 8)
    engine = DeviceEngine(
        jax.device_put(sharp_model, partition.shardings(sharp_model, mesh)), mesh, sizes,
        prefix=np.zeros(0, np.int32), parameters=SamplingParameters(0.7), max_new=limit, seed=7, dtype=F32,
        stop=lambda token, count, problem, sample: problem == 0,
    )  # fmt: skip
    schedule = Schedule(sizes, devices=1, skipped=0)
    engine.prefill(schedule.fill(iter([Job(number, prompt, (0,)) for number, prompt in enumerate(prompts_)])))
    steps, _ = engine.wait(engine.start(schedule.orders()))
    assert (steps.sample[-1] != decode.NONE).tolist() == [False, True]

    def one_bad(pool):
        pool = np.array(pool)
        pool[0] = np.nan  # the page of the prompt that nobody reads any more
        return pool

    cache = engine._state.cache
    layers = tuple(
        dataclasses.replace(layer, prompts=tuple(jax.device_put(one_bad(x), x.sharding) for x in layer.prompts))
        for layer in cache.layers
    )
    engine._state = dataclasses.replace(engine._state, cache=dataclasses.replace(cache, layers=layers))
    steps, _ = engine.wait(engine.start(schedule.orders()))
    assert (steps.sample[-1] != decode.NONE).tolist() == [False, True]
    for layer in engine._state.cache.layers:
        assert all(np.isfinite(x).all() for x in layer.current)


def test_programs_copy_no_cache():
    """Temporaries of the compiled decode program stay below 15 % of the cache, at the benchmark's head width."""
    config = dataclasses.replace(
        architecture.size("tiny"), vocabulary=256, width=128, heads=2, kv_heads=2, head_width=64, layers=4
    )
    model = jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=F32, stacked=False))
    sizes = capacity.cache_sizes(64, capacity.Lengths(np.full(100, 100), np.full(100, 131.0), 256), 100)
    state = jax.eval_shape(lambda: decode.idle(model, sizes, F32, None))
    int32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)  # noqa: E731
    orders = decode.Orders(int32(sizes.slots), int32(1), int32(64), int32(64), int32(1), int32(1), int32())
    options = {
        "steps": 8,
        "parameters": SamplingParameters(0.7, top_k=50),
        "stop": decode.stop_at((2,)),
        "max_new": 256,
        "dtype": F32,
    }
    program = jax.jit(lambda *operands: decode.decode(*operands, **options), donate_argnums=1)
    seed = jax.ShapeDtypeStruct((2,), jnp.uint32)
    memory = program.lower(model, state, orders, seed).compile().memory_analysis()
    cache_bytes = sum(leaf.size * 4 for leaf in jax.tree.leaves(state.cache.layers))
    assert memory.alias_size_in_bytes >= cache_bytes
    assert memory.temp_size_in_bytes < 0.15 * cache_bytes


def test_sizes_refuse_pools_that_no_row_fits():
    with pytest.raises(ValueError, match="pools too small"):
        CacheSizes(
            rows=1,
            slots=1,
            seats=1,
            samples=1,
            prompt_pages=1,
            history_pages=1,
            prompt_width=8,
            response_width=64,
            page_size=8,
        )
