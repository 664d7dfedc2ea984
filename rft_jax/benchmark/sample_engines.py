"""The samplers to measure, each in its own process: `python -m rft_jax.benchmark.sample_engines NAME ...`.

All do the same work with random weights of one architecture: temperature 0.7, top-k 50, forced lengths. A peer takes
batches in order until its time is up; tokens beyond a sample's length do not count.
"""

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rft_jax.benchmark.sample_work import MAX_NEW, Work
from rft_jax.model import architecture

TEMPERATURE, TOP_K = 0.7, 50
STEPS = 128  # a peer whose programs are compiled for a number of steps rounds it up to a multiple of this


def measure(name: str, file: Path, size: str, batch: int, seconds: float) -> dict[str, Any]:
    """Runs one engine here; returns its useful tokens, seconds and CPU seconds, and a remark."""
    work = Work.load(file)
    engines: dict[str, Callable[..., dict[str, Any]]] = {
        "ours": functools.partial(ours, shared=True),
        "ours, unshared": functools.partial(ours, shared=False),
        "transformers": transformers_generate,
        "tunix": tunix_sampler,
    }
    return engines[name](work, architecture.size(size), batch, seconds)


class Clock:
    """Wall time and CPU time since it was created."""

    def __init__(self) -> None:
        """Starts."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Returns both."""
        return {"seconds": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}


def ours(work: Work, config: architecture.LlamaConfig, rows: int, seconds: float, *, shared: bool) -> dict[str, Any]:
    """Our sampler; unshared, each sample reads its own prompt. Tokens of unfinished samples count."""
    import jax
    import jax.numpy as jnp

    from rft_jax import runtime
    from rft_jax.model import partition
    from rft_jax.model.llama import Llama
    from rft_jax.sample import capacity, prompts
    from rft_jax.sample.decode import Orders
    from rft_jax.sample.engine import DeviceEngine, responses
    from rft_jax.sample.sampling import SamplingParameters
    from rft_jax.sample.schedule import Job, Schedule

    compiled = 0

    def count(event: str, duration_secs: float, **_: Any) -> None:
        nonlocal compiled
        compiled += event == "/jax/core/compile/backend_compile_duration"

    k = work.lengths.shape[1]
    dtype = jnp.dtype(jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
    mesh = runtime.make_mesh(-1, 1, 1)
    model = jax.jit(lambda: Llama(config, jax.random.key(0), dtype=dtype, stacked=False))()
    model = jax.device_put(model, partition.shardings(model, mesh))
    tokens = [np.array(prompt, np.int32) for prompt in work.prompts]
    encoded = prompts.split(tokens) if shared else prompts.Prompts(np.zeros(0, np.int32), tokens)
    if shared:
        jobs = [Job(number, own, tuple(range(k))) for number, own in enumerate(encoded.own)]
    else:
        jobs = [Job(number, own, (sample,)) for number, own in enumerate(encoded.own) for sample in range(k)]
    lengths = capacity.Lengths(
        np.array([len(own) for own in encoded.own] * (1 if shared else k)), work.lengths.reshape(-1), MAX_NEW
    )
    sizes = capacity.cache_sizes(rows, lengths, k if shared else 1)
    forced = jnp.asarray(work.lengths, jnp.int32)

    def stop(token: jax.Array, number: jax.Array, problem: jax.Array, sample: jax.Array) -> jax.Array:
        return number >= forced.at[problem, sample].get(mode="clip", out_sharding=jax.typeof(number).sharding)

    jax.monitoring.register_event_duration_secs_listener(count)
    engine = DeviceEngine(
        model, mesh, sizes, prefix=encoded.prefix, parameters=SamplingParameters(TEMPERATURE, top_k=TOP_K), stop=stop,
        max_new=MAX_NEW, seed=0, dtype=dtype,
    )  # fmt: skip
    devices = capacity.devices(mesh)
    # Compiles by running an empty batch and idle rows.
    empty = Schedule(sizes, devices=devices, skipped=0)
    orders: Orders = empty.orders()
    engine.prefill(empty.batch([[] for _ in range(devices)]))
    engine.wait(engine.start(orders))

    schedule = Schedule(sizes, devices=devices, skipped=len(encoded.prefix))
    clock = Clock()
    for _ in responses(engine, schedule, iter(jobs)):
        if clock.read()["seconds"] > seconds:
            break
    spent = clock.read()
    return spent | {
        "tokens": schedule.made,
        "remark": f"occupancy {schedule.occupancy:.1%}, {compiled} programs, temporaries {engine.memory(orders):.1%} "
        f"of the cache, {schedule.lost} samples restarted",
    }


def transformers_generate(work: Work, config: architecture.LlamaConfig, batch: int, seconds: float) -> dict[str, Any]:
    """Transformers' generate as the reference uses it: static batches, with a prefill for every sample."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=config.vocabulary, hidden_size=config.width, intermediate_size=config.mlp_width,
            num_hidden_layers=config.layers, num_attention_heads=config.heads, num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.max_positions,
        )
    ).eval()  # fmt: skip
    if torch.cuda.is_available():
        model = model.to("cuda", torch.bfloat16)
    eos = 2

    class Force(transformers.LogitsProcessor):
        """Forces eos at a row's length and forbids it before."""

        def __init__(self, start: int, lengths: np.ndarray) -> None:
            self.last = torch.tensor(start + lengths - 1, device=model.device)

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            here = self.last == input_ids.shape[1]
            scores[:, eos] = -torch.inf
            scores[here] = -torch.inf
            scores[here, eos] = 0.0
            return scores

    def generate(prompts: list[list[int]], lengths: np.ndarray) -> None:
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts], device=model.device)
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)
        with torch.inference_mode():
            model.generate(
                ids, attention_mask=mask, do_sample=True, temperature=TEMPERATURE, top_k=TOP_K, eos_token_id=eos,
                max_new_tokens=MAX_NEW, pad_token_id=0,
                logits_processor=transformers.LogitsProcessorList([Force(longest, lengths)]),
            )  # fmt: skip

    return _batches(work, batch, seconds, generate)


def tunix_sampler(work: Work, config: architecture.LlamaConfig, batch: int, seconds: float) -> dict[str, Any]:
    """google-tunix's Sampler: one program with a cache of fixed size; a batch stops when its longest sample ends.

    The program is compiled for a number of steps, so steps are rounded up; the time this adds is not counted.
    """
    import flax.nnx as nnx
    import jax
    from tunix.generate import sampler as generate  # type: ignore[import-not-found]
    from tunix.models.llama3 import model as llama  # type: ignore[import-not-found]

    model = llama.Llama3(
        llama.ModelConfig(
            num_layers=config.layers, vocab_size=config.vocabulary, embed_dim=config.width, head_dim=config.head_width,
            hidden_dim=config.mlp_width, num_heads=config.heads, num_kv_heads=config.kv_heads,
            rope_theta=int(config.rope_theta), norm_eps=config.rms_epsilon,
        ),
        rngs=nnx.Rngs(0),
    )  # fmt: skip

    class Numbers:
        """A tokenizer whose texts are token ids."""

        def encode(self, text: str, **_: Any) -> list[int]:
            return [int(number) for number in text.split()]

        def decode(self, ids: Any, **_: Any) -> str:
            return ""

        def bos_id(self) -> int:
            return 1

        def eos_id(self) -> int:
            return config.vocabulary - 1

        def pad_id(self) -> int:
            return 0

        def dedup_bos_ids(self, ids: list[int]) -> list[int]:
            return ids[1:] if ids[:2] == [1, 1] else ids

    longest = -(-max(map(len, work.prompts)) // 64) * 64
    cache = generate.CacheConfig(longest + MAX_NEW, config.layers, config.kv_heads, config.head_width)
    sampler = generate.Sampler(model, Numbers(), cache)
    saved = 0.0

    def run(prompts: list[list[int]], lengths: np.ndarray, count: bool = True) -> None:
        nonlocal saved
        steps = -(-int(lengths.max()) // STEPS) * STEPS
        start = time.perf_counter()
        texts = [" ".join(map(str, prompt)) for prompt in prompts]
        result = sampler(
            texts, steps, max_prompt_length=longest, temperature=TEMPERATURE, top_k=TOP_K, top_p=1.0, seed=0,
            forbidden_tokens=(config.vocabulary - 1,),
        )  # fmt: skip
        jax.block_until_ready(result.tokens)
        saved += count * (time.perf_counter() - start) * (1 - int(lengths.max()) / steps)

    for steps in range(STEPS, MAX_NEW + 1, STEPS):
        run(work.prompts[:1] * batch, np.full(batch, steps), count=False)
    result = _batches(work, batch, seconds, run, warm=False)
    share = 1 - saved / result["seconds"]
    return result | {"seconds": result["seconds"] * share, "cpu": result["cpu"] * share}


def _batches(
    work: Work, batch: int, seconds: float, generate: Callable[[list[list[int]], np.ndarray], None], warm: bool = True
) -> dict[str, Any]:
    """Runs static batches of consecutive problems, one sample of each, as the reference's script does."""
    if warm:
        generate(work.prompts[:1] * batch, np.full(batch, 8))
    order = [(problem, sample) for sample in range(work.lengths.shape[1]) for problem in range(len(work.prompts))]
    made = steps = 0
    clock = Clock()
    for start in range(0, len(order) - batch + 1, batch):
        rows = order[start : start + batch]
        lengths = np.array([work.lengths[row] for row in rows])
        generate([work.prompts[problem] for problem, _ in rows], lengths)
        made += int(lengths.sum())
        steps += int(lengths.max()) * batch
        if clock.read()["seconds"] > seconds:
            break
    return clock.read() | {"tokens": made, "remark": f"occupancy {made / steps:.1%}"}


if __name__ == "__main__":
    _, name, file, size, batch, seconds = sys.argv
    print(json.dumps(measure(name, Path(file), size, int(batch), float(seconds))))
