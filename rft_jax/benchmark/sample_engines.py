"""The samplers to measure, each in its own process.

`python -m rft_jax.benchmark.sample_engines NAME FILE SECONDS SIZE` prints what one measures.
All do the same work with random weights of one architecture and forced lengths, until it is done or the time is up.
SIZE is a peer's batch, or the rows of our engine (0: it chooses). A peer finishes a batch that it has begun; tokens
beyond a sample's length do not count.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rft_jax.benchmark.sample_work import Work
from rft_jax.model import architecture

TOP_K = 50
PROGRAMS = 4  # of a peer whose programs are compiled for a number of steps, which it rounds up to a part of the limit


def measure(name: str, work: Work, seconds: float, size: int) -> dict[str, Any]:
    """Runs one engine here.

    Returns:
        Useful `tokens`, `seconds` and `cpu` seconds; `occupancy`, the share of the rows' steps that gave them; `whole`,
        whether all the work is done; and of ours also `twice`, the share of decoded tokens that are lost, `shard`, the
        seconds to the first whole block of responses or None, and `compiled`, programs compiled within the time.
    """
    engines = {"ours": ours, "generate": transformers_generate, "tunix": tunix_sampler}
    return engines[name](work, architecture.size(work.size), seconds, size)


class Clock:
    """Wall time and CPU time since it was created."""

    def __init__(self) -> None:
        """Starts."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Returns both."""
        return {"seconds": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}


class Blocks:
    """Responses by the blocks that a shard holds: 8 problems × 50 samples, or 32 problems × k up to 8."""

    def __init__(self, problems: int, k: int) -> None:
        """Starts with no response."""
        self._shape = (8, 50) if k > 8 else (32, k)
        self._missing: dict[tuple[int, int], int] = {}
        for problem, sample in np.ndindex(problems, k):
            block = self._block(problem, sample)
            self._missing[block] = self._missing.get(block, 0) + 1

    def _block(self, problem: int, sample: int) -> tuple[int, int]:
        return problem // self._shape[0], sample // self._shape[1]

    def add(self, problem: int, sample: int) -> bool:
        """Takes a response; returns whether its block is whole now."""
        block = self._block(problem, sample)
        self._missing[block] -= 1
        return not self._missing[block]


def ours(work: Work, config: architecture.LlamaConfig, seconds: float, rows: int) -> dict[str, Any]:
    """Our sampler; tokens of unfinished samples count."""
    import jax

    from rft_jax import runtime
    from rft_jax.benchmark.sample_ours import Sampler

    compiled = 0

    def count(event: str, duration_secs: float, **_: Any) -> None:
        nonlocal compiled
        compiled += event == "/jax/core/compile/backend_compile_duration"

    runtime.start()
    sampler = Sampler(work, config, runtime.make_mesh(-1, 1, 1), rows=rows or None, top_k=TOP_K)
    jax.monitoring.register_event_duration_secs_listener(count)
    blocks, shard, done = Blocks(*work.lengths.shape), None, 0
    clock = Clock()
    for response in sampler.responses(seconds):
        done += 1
        if blocks.add(response.problem, response.sample) and shard is None:
            shard = clock.read()["seconds"]
    spent = clock.read() | {"whole": done == work.lengths.size, "shard": shard, "compiled": compiled}
    return spent | sampler.figures()


def transformers_generate(work: Work, config: architecture.LlamaConfig, seconds: float, batch: int) -> dict[str, Any]:
    """Transformers' generate as the reference uses it: static batches, with a prefill for every sample."""
    import torch
    import transformers

    from rft_jax.hf import config as hf_config

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
        hf_config.write(Path(folder), config, "float32", {})
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder)).eval()
    if torch.cuda.is_available():
        model = model.to("cuda", torch.bfloat16)
    eos = 2
    how = {"do_sample": True, "temperature": work.temperature, "top_k": TOP_K} if work.temperature else {}

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
                ids, attention_mask=mask, eos_token_id=eos, pad_token_id=0, max_new_tokens=work.limit, use_cache=True,
                logits_processor=transformers.LogitsProcessorList([Force(longest, lengths)]), **how,
            )  # fmt: skip

    generate(work.prompts[:1] * batch, np.full(batch, 8))
    return _batches(work, batch, seconds, generate)


def tunix_sampler(work: Work, config: architecture.LlamaConfig, seconds: float, batch: int) -> dict[str, Any]:
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
            weight_tying=config.tied_embeddings,
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
    cache = generate.CacheConfig(longest + work.limit, config.layers, config.kv_heads, config.head_width)
    sampler = generate.Sampler(model, Numbers(), cache)
    unit = -(-work.limit // PROGRAMS)
    how = {"temperature": work.temperature, "top_k": TOP_K, "top_p": 1.0} if work.temperature else {"temperature": 0.0}
    saved = 0.0

    def run(prompts: list[list[int]], lengths: np.ndarray, count: bool = True) -> None:
        nonlocal saved
        steps = min(-(-int(lengths.max()) // unit) * unit, work.limit)
        start = time.perf_counter()
        texts = [" ".join(map(str, prompt)) for prompt in prompts]
        texts += texts[-1:] * (batch - len(texts))
        result = sampler(
            texts, steps, max_prompt_length=longest, seed=0, forbidden_tokens=(config.vocabulary - 1,), **how
        )
        jax.block_until_ready(result.tokens)
        saved += count * (time.perf_counter() - start) * (1 - int(lengths.max()) / steps)

    for steps in {min(-(-int(n) // unit) * unit, work.limit) for n in np.unique(work.lengths)}:
        run(work.prompts[:1], np.full(1, steps), count=False)
    result = _batches(work, batch, seconds, run)
    share = 1 - saved / result["seconds"]
    return result | {"seconds": result["seconds"] * share, "cpu": result["cpu"] * share}


def _batches(
    work: Work, batch: int, seconds: float, generate: Callable[[list[list[int]], np.ndarray], None]
) -> dict[str, Any]:
    """Runs static batches, in random order: of one problem's samples, or of prompts of about one length."""
    by_length = sorted(range(len(work.prompts)), key=lambda problem: len(work.prompts[problem]))
    order = [(problem, sample) for problem in by_length for sample in range(work.lengths.shape[1])]
    starts = np.random.default_rng(0).permutation(range(0, len(order), batch))
    made = steps = 0
    clock = Clock()
    for start in starts.tolist():
        rows = order[start : start + batch]
        lengths = np.array([work.lengths[row] for row in rows])
        generate([work.prompts[problem] for problem, _ in rows], lengths)
        made += int(lengths.sum())
        steps += int(lengths.max()) * len(rows)
        if clock.read()["seconds"] > seconds:
            break
    return clock.read() | {"tokens": made, "occupancy": made / steps, "whole": made == int(work.lengths.sum())}


if __name__ == "__main__":
    _, name, file, seconds, size = sys.argv
    print(json.dumps(measure(name, Work.load(Path(file)), float(seconds), int(size))))
