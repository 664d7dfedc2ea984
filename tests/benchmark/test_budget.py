"""The budget benchmark measures every policy."""

import re

from rft_jax.benchmark import budget


def test_a_line_for_each_policy(monkeypatch) -> None:
    monkeypatch.setattr(budget, "_GRADED_PROBLEMS", 1)
    _, *rest = budget.run(20)
    policies, memory, grading, workers = rest[:7], rest[7], rest[8], rest[9:]
    names = [re.match(r"\w+", line)[0] for line in policies]
    assert names == ["uniform", "distinct", "correct", "proportional", "boundary", "tokens", "tokens"]
    assert policies[0].startswith("uniform: 2,000 paths, ")
    assert policies[-1].startswith(f"{policies[-1].partition(':')[0]}:first=4: 2,000 paths, ")
    assert re.match(r"peak memory with 2,000 outcomes: [0-9]+ MB", memory)
    assert re.match(r"grading: [0-9.]+ µs per path of 500", grading)
    assert [re.match(r"a worker by (\w+)", line)[1] for line in workers] == names[:-1]
    assert workers[0].startswith("a worker by uniform: 2,000 paths in 6 files, ")
    assert workers[0].endswith("% of their steps on these paths")
