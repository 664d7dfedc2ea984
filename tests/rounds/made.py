"""Rounds made by a seed: problems from hard to easy, each with several ways to solve it, some likelier than others."""

import json
from pathlib import Path as File

import numpy as np

from rft_jax.records import manifest
from rft_jax.records.path import Logprobs, Path, write_paths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.rounds.figures import changes, figures
from rft_jax.rounds.outcomes import Outcomes
from rft_jax.rounds.rule import Verdict, judge

MANIFEST = {"temperature": 0.9, "top_k": None, "top_p": None, "min_p": None}


def outcomes(
    seed: int, *, problems: int = 300, k: int = 16, easier: float = 0.0, sharper: float = 1.0, entropy: float = 0.25
) -> Outcomes:
    """Returns the outcomes of a round; the problems are the same for all seeds, which draw the samples.

    Args:
        seed: of the samples.
        problems, k: how many, and samples of each.
        easier: added to the log-odds of each problem.
        sharper: power of the chances of the ways: above 1 the likeliest gain.
        entropy: per token.
    """
    world, draw = np.random.default_rng(1), np.random.default_rng(seed)
    odds = world.normal(0, 2, problems) + easier
    ways = world.dirichlet(np.full(6, 0.5), problems) ** sharper
    ways /= ways.sum(1, keepdims=True)
    right = draw.random((problems, k)) < 1 / (1 + np.exp(-odds))[:, None]
    key = (draw.random((problems, k))[:, :, None] > ways.cumsum(1)[:, None, :]).sum(2)
    tokens = draw.integers(20, 90, (problems, k)).sum(1)
    return Outcomes(
        right.sum(1).tolist(),
        [len(set(keys[found].tolist())) for keys, found in zip(key, right, strict=True)],
        tokens.tolist(),
        (tokens * draw.normal(entropy, 0.2 * entropy, problems).clip(0)).tolist(),
    )


def verdict(*rounds: Outcomes, k: int = 16) -> Verdict:
    """Returns what the rule says of the last of these rounds."""
    first, *_, previous, now = (rounds[0], *rounds)
    return judge(
        k, figures(now, k), figures(first, k), changes(first, now, k), changes(previous, now, k), len(rounds)
    )  # fmt: skip


def problem_set(count: int) -> list[Problem]:
    """Returns problems whose answer is their number."""
    return [Problem(f"What is {number} times 1?", f"<<{number}*1={number}>>\n#### {number}") for number in range(count)]


def write(
    folder: File,
    ways: list[list[int]],
    *,
    model: str = "m",
    logprobs: bool = False,
    settings: dict[str, object] | None = None,
) -> str:
    """Writes problems, paths and a manifest.

    Args:
        folder: to write to.
        ways: of each problem its samples: 0 is wrong, and a positive number the way in which it is right.
        model: that sampled.
        logprobs: whether the paths have them.
        settings: other fields of the manifest.

    Returns:
        The pattern of the paths.
    """
    problems = problem_set(len(ways))
    (folder / "paths").mkdir(parents=True, exist_ok=True)
    write_problems(folder / "problems.jsonl", problems)
    paths = []
    for number, samples in enumerate(ways):
        for sample, way in enumerate(samples):
            answer = number if way else number + 1
            tokens, told = 4 + way, None
            if logprobs:
                told = Logprobs((-0.5 - 0.25 * way,) * tokens, (-1.0,) * tokens)
            text = f"<<{way}+1={way + 1}>>\n#### {answer}"
            paths.append(Path(number, sample, model, text, tokens, "eos", told))
    write_paths(folder / "paths" / "a.jsonl", paths)
    told_settings = {"problems": manifest.of_problems(problems), "name": model, **MANIFEST, **(settings or {})}
    (folder / "paths" / "manifest.json").write_text(json.dumps(told_settings))
    return f"{folder}/paths/*.jsonl"
