"""What policies would have made of a finished run of k samples of each problem.

A path depends on seed, problem and sample number alone, so what a policy samples is a part of the run, and the replay
is the real thing but for the tokens that it would not have sampled.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from rft_jax import provenance
from rft_jax.budget.decisions import Decisions
from rft_jax.budget.ledger import Ledger
from rft_jax.budget.parse import parse
from rft_jax.budget.policies import Boundary, Correct, Distinct, Policy, Proportional, Tokens, Uniform
from rft_jax.errors import UserError
from rft_jax.select.statistics import aligned, pass_at_k

_PARTS = 8  # of the tokens of the ledger, for a curve
_COUNTS = ("samples", "tokens", "right", "distinct", "never_solved")
# On how a policy's estimates of pass@k stand.
BIASED = "where sampling stops depends on what the samples were, so more of them give biased estimates"


def parse_all(texts: Sequence[str], ledger: Ledger) -> list[Policy]:
    """Returns the policies of these texts.

    Raises:
        UserError: a text is none, or names none that this ledger can show.
    """
    policies = [parse(text, ledger.k, ledger.problems) for text in texts]
    if not policies:
        raise UserError("no budgets to replay: give some, as in uniform,distinct=4,tokens=1e6")
    for policy in policies:
        at_first = _tokens(ledger, [policy.first] * ledger.problems)
        if isinstance(policy, Tokens) and at_first > policy.total:
            raise UserError(
                f"budget '{policy.text}': the first {policy.first} samples of each problem have {at_first:,} tokens: "
                f"give more, or a smaller pass, as in tokens={policy.total}:first=1"
            )
    return policies


def replay(ledger: Ledger, policies: Sequence[Policy]) -> dict[str, Any]:
    """Returns what each policy gives, and what it gives with other budgets, as JSON values.

    Args:
        ledger: the finished run.
        policies: to replay.

    Returns:
        "ledger": problems, k, model and grader; "uniform": the counts of all samples; "policies": of each its "budget",
        the counts "samples", "tokens", "right" (paths), "distinct" (right paths), "never_solved" (problems), and
        - "share": of all samples' tokens and distinct paths;
        - "uniform": what uniform sampling makes of as many tokens, interpolated between its k;
        - "always": how many samples every problem gets whatever they show;
        - "pass_at_k": unbiased estimates, and "pass_at_k_note": from what, and why there are no more;
        - "curve": budget and counts for other budgets of the same policy.
    """
    uniform = [_counts(ledger, [samples] * ledger.problems) for samples in range(1, ledger.k + 1)]
    curves = [_others(policy, ledger) for policy in policies]
    with tqdm(total=sum(map(len, curves)), desc="replay", unit="budget", disable=None) as bar:

        def run(policy: Policy) -> dict[str, int]:
            bar.update()
            return _counts(ledger, wanted(policy, ledger))

        told = []
        for policy, others in zip(policies, curves, strict=True):
            counts = {other: run(other) for other in others}
            curve = [{"budget": other.text} | counts[other] for other in others]
            told.append(_described(policy, counts[policy], ledger, uniform) | {"curve": curve})
    asked = {"problems": ledger.problems, "k": ledger.k, "model": ledger.model, "grader": ledger.grader}
    return {"ledger": asked, "uniform": uniform[-1], "policies": told, provenance.FIELD: provenance.software()}


def _described(
    policy: Policy, counts: dict[str, int], ledger: Ledger, uniform: Sequence[dict[str, int]]
) -> dict[str, Any]:
    """Returns what `replay` tells of a policy, but for its curve."""
    always = policy.always
    ks = sorted({1, always} | {2**power for power in range(always.bit_length())})
    note = f"from the first {always} samples of each problem"
    return {
        "budget": policy.text,
        **counts,
        "share": {name: _ratio(counts[name], uniform[-1][name]) for name in ("tokens", "distinct")},
        "uniform": _between(uniform, ledger.problems, counts["tokens"]),
        "always": always,
        "pass_at_k": {str(k): _pass_at_k(ledger, always, k) for k in ks},
        "pass_at_k_note": note if isinstance(policy, Uniform) else f"{note}; {BIASED}",
    }


def wanted(policy: Policy, ledger: Ledger) -> list[int]:
    """Returns how many samples of each problem a policy takes."""
    decisions = Decisions(policy, ledger.problems)
    outcomes = [ledger.outcomes(problem) for problem in range(ledger.problems)]
    coming = decisions.start()
    while coming:
        problem, samples = coming.pop()
        for sample in samples:
            coming += decisions.put(problem, sample, outcomes[problem][sample])
    assert decisions.done, "all that was asked for was put"
    return list(decisions.wanted)


def _counts(ledger: Ledger, samples: Sequence[int]) -> dict[str, int]:
    """Returns the counts over the first so many samples of each problem."""
    taken = np.arange(ledger.k) < np.array(samples)[:, None]
    right = (ledger.right & taken).sum(1)
    # Keys are numbered as they come up, but a file may have its samples in any order.
    keys = np.where(taken, ledger.keys, -1)
    ordered = np.sort(keys, 1)
    distinct = int(((ordered[:, 1:] != ordered[:, :-1]) & (ordered[:, 1:] >= 0)).sum() + (ordered[:, 0] >= 0).sum())
    return dict(
        zip(
            _COUNTS,
            (int(taken.sum()), _tokens(ledger, samples), int(right.sum()), distinct, int((right == 0).sum())),
            strict=True,
        )
    )


def _tokens(ledger: Ledger, samples: Sequence[int]) -> int:
    return int(ledger.tokens[np.arange(ledger.k) < np.array(samples)[:, None]].sum())


def _pass_at_k(ledger: Ledger, samples: int, k: int) -> float | None:
    """Returns pass@k, unbiased, from the first so many samples of each problem."""
    right = ledger.right[:, :samples].sum(1).tolist()
    return pass_at_k(Counter((samples, count) for count in right), k)


def _between(uniform: Sequence[dict[str, int]], problems: int, tokens: int) -> dict[str, float]:
    """Returns what uniform sampling finds, and what it leaves unsolved, with so many tokens."""
    known = [{"tokens": 0, "distinct": 0, "never_solved": problems}, *uniform]
    spent = [point["tokens"] for point in known]
    return {
        name: float(np.interp(tokens, spent, [point[name] for point in known])) for name in ("distinct", "never_solved")
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _others(policy: Policy, ledger: Ledger) -> list[Policy]:
    """Returns the policy with a range of budgets, from small to all that there is; its own is among them."""
    k = policy.k
    powers = range(k.bit_length())
    steps = {step for power in powers for step in (2**power, 3 * 2**power // 2) if step <= k} | {k}
    found: list[Policy]
    match policy:
        case Uniform():
            found = [dataclasses.replace(policy, samples=step) for step in steps | {policy.samples}]
        case Distinct() | Correct() | Proportional():
            found = [dataclasses.replace(policy, goal=step) for step in steps | {policy.goal}]
        case Boundary():
            found = [dataclasses.replace(policy, most=step) for step in steps | {policy.most} if step >= policy.first]
        case Tokens():
            whole = int(ledger.tokens.sum())
            least = _tokens(ledger, [policy.first] * ledger.problems)
            totals = {part * whole // _PARTS for part in range(1, _PARTS + 1)}
            enough = {total for total in totals if total >= least} | {policy.total}
            found = [dataclasses.replace(policy, total=total) for total in enough]
        case _:
            raise TypeError(f"no curve of {type(policy).__name__}")
    return sorted(found, key=dataclasses.astuple)


def table(result: dict[str, Any]) -> str:
    """Returns the result as a table for the terminal."""
    rows = [
        ["budget", "samples", "tokens", "of all", "right", "distinct", "of all", "uniform", "never solved", "uniform"]
    ]
    for each in result["policies"]:
        shares = ["–" if share is None else f"{share:.1%}" for share in each["share"].values()]
        rows.append([
            each["budget"], f"{each['samples']:,}", f"{each['tokens']:,}", shares[0], f"{each['right']:,}",
            f"{each['distinct']:,}", shares[1], f"{each['uniform']['distinct']:,.0f}", f"{each['never_solved']:,}",
            f"{each['uniform']['never_solved']:,.0f}",
        ])  # fmt: skip
    return f"{aligned(rows)}\nuniform: what stands before it, by uniform sampling of as many tokens."
