"""What deciding costs: processor time for each path that comes back, by each policy, alone and in a whole worker."""

import collections
import heapq
import os
import pathlib
import platform
import resource
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from rft_jax.benchmark.select import FIVE_MODELS, generate
from rft_jax.budget.decisions import Decisions
from rft_jax.budget.outcome import Grading, Outcome
from rft_jax.budget.parse import parse
from rft_jax.budget.policies import Policy, Uniform
from rft_jax.records.path import Path, read_paths
from rft_jax.records.problem import Problem, read_problems
from rft_jax.sample.sharing.adaptive import Adaptive
from rft_jax.sample.sharing.claims import Claims
from rft_jax.sample.sharing.jobs import Jobs
from rft_jax.sample.sharing.ledger import CLAIMS, Ledger
from rft_jax.sample.sharing.share import Share

_K = 100
_GRADED_PROBLEMS = 50
_ROWS = 1024  # samples in flight, as on a card with a model of 7 billion parameters and less
_SAID = "so she has 3 apples left and gives half of them to a friend. " * 4


def run(problems: int) -> Iterator[str]:
    """Measures, and yields the lines of the report; `problems` have 100 samples each at most."""
    yield f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    outcomes = _drawn(problems)
    total = sum(outcome.tokens for of_problem in outcomes for outcome in of_problem)
    texts = [
        "uniform",
        "distinct=4",
        "correct=8",
        "proportional",
        "boundary",
        f"tokens={total // 4}",
        f"tokens={total}",
    ]
    for text in texts:
        yield _decide(parse(text, _K, problems), outcomes)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield f"peak memory with {problems * _K:,} outcomes: {peak:.0f} MB"
    yield _grade()
    uniform = None
    for text in texts[:-1]:
        paths, seconds, files, busy = _work(text, problems)
        uniform = uniform or seconds / paths
        more = 1e6 * (seconds / paths - uniform)
        yield (
            f"a worker by {text}: {paths:,} paths in {files:,} files, {1e6 * seconds / paths:.1f} µs each, "
            f"{more:+.1f} µs against uniform; {_ROWS:,} rows spend {busy:.1%} of their steps on these paths"
        )


def _drawn(problems: int) -> list[list[Outcome]]:
    """Returns outcomes of problems from never to always solved, in few or many ways, by a seed."""
    draw = np.random.default_rng(0)
    solved = draw.beta(0.4, 0.5, problems)
    right = draw.random((problems, _K)) < solved[:, None]
    keys = [draw.zipf(shape, _K) for shape in draw.uniform(1.1, 3, problems)]
    tokens = draw.integers(40, 250, (problems, _K))
    return [
        [Outcome(was, int(key) if was else None, length) for was, key, length in zip(*each, strict=True)]
        for each in zip(right.tolist(), keys, tokens.tolist(), strict=True)
    ]


def _decide(policy: Policy, outcomes: list[list[Outcome]]) -> str:
    decisions = Decisions(policy, len(outcomes))
    coming = decisions.start()
    paths, longest, seconds = 0, 0.0, 0.0
    while coming:
        problem, samples = coming.pop()
        begin = time.process_time()
        for sample in samples:
            coming += decisions.put(problem, sample, outcomes[problem][sample])
        took = time.process_time() - begin
        paths, longest, seconds = paths + len(samples), max(longest, took), seconds + took
    return (
        f"{policy.text}: {paths:,} paths, {1e6 * seconds / paths:.2f} µs each; longest {longest:.3f} s for a problem's "
        f"new samples, {len(decisions.rounds)} rounds"
    )


def _work(text: str, problems: int) -> tuple[int, float, int, float]:
    """Has a worker sample on a device that exists in time alone: each of its rows makes a token in a step.

    Returns:
        The paths, seconds of processor time, files, and the share of the rows' steps that made these paths.
    """
    asked = [Problem(f"Question {number}?", f"#### {number}") for number in range(problems)]
    policy = parse(text, _K, problems)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / "paths"
        begin, now = time.process_time(), 0
        work = None if isinstance(policy, Uniform) else Adaptive(policy, Grading(asked, "problems", "gsm8k"), problems)
        ledger = Ledger(folder, {}, problems=problems, k=_K, adaptive=work)
        share = Share(ledger, Claims(folder / CLAIMS, needed=ledger.tiles.__contains__), folder / CLAIMS)
        jobs = Jobs(share, [np.zeros(1, np.int32)] * problems, most=4, agree=lambda find: find(), sleep=lambda _: None)
        running: list[tuple[int, int, int]] = []  # when it ends, problem, sample
        waiting: collections.deque[tuple[int, int]] = collections.deque()
        while jobs.left():
            while True:
                while len(running) < _ROWS:
                    if not waiting and (job := next(jobs, None)) is not None:
                        waiting += [(job.problem, sample) for sample in job.samples]
                    if not waiting:
                        break
                    number = waiting.popleft()
                    heapq.heappush(running, (now + _tokens(*number), *number))
                if not running:
                    break
                now, problem, sample = heapq.heappop(running)
                share.add(_path(problem, sample))
        seconds = time.process_time() - begin
        files = sorted(folder.glob("*.jsonl"))
        made = sum(path.tokens or 0 for file in files for path in read_paths(file))
        return ledger.done, seconds, len(files), made / (_ROWS * now)


def _path(problem: int, sample: int) -> Path:
    """Returns a path of a problem that is solved never, seldom, often or always."""
    draw = (problem * 2_654_435_761 + sample * 40_503) % 997
    way = draw % (1, 2, 9, 50)[problem % 4]
    answer = problem if draw < (0, 50, 500, 997)[problem // 4 % 4] else -1
    return Path(problem, sample, "m", f"{_SAID}<<{way}+1={way + 1}>>\n#### {answer}", _tokens(problem, sample), "eos")


def _tokens(problem: int, sample: int) -> int:
    return 40 + (problem * 7_919 + sample * 104_729) % 181


def _grade() -> str:
    with tempfile.TemporaryDirectory() as folder:
        problems, files = generate(FIVE_MODELS, _GRADED_PROBLEMS, pathlib.Path(folder) / "paths")
        grading = Grading(read_problems(problems), str(problems), "gsm8k")
        paths = [path._replace(tokens=100) for file in files for path in read_paths(file)]
        begin = time.process_time()
        for path in paths:
            grading.outcome(path)
        seconds = time.process_time() - begin
    return f"grading: {1e6 * seconds / len(paths):.1f} µs per path of {len(paths):,}"
