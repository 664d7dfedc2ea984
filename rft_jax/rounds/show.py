"""Rounds as a table, for the terminal and for the report."""

from rft_jax.evidence.intervals import Estimate
from rft_jax.rounds.figures import ENTROPY, NAMES, SHARES
from rft_jax.rounds.record import Record, Round
from rft_jax.select.statistics import aligned, printable

_DIGITS = {"distinct@k": 2, "tokens_per_path": 1, ENTROPY: 3}


def table(record: Record) -> str:
    """Returns the rounds, a line each, how the last one differs from those before, and what the rule says of it."""
    this = record.rounds[-1]
    rows = [["round", "model", *titles(record.asked.k)]]
    rows += [[str(each.number), printable(each.model), *cells(each)] for each in record.rounds]
    since = {this.number - 1: this.since_previous} | ({1: this.since_first} if this.number > 2 else {})
    rows += [
        [f"since {number}", "", *(cell(name, changed[name], signed=True) for name in NAMES)]
        for number, changed in since.items()
        if changed is not None
    ]
    note = [f"no entropy: {this.entropy_note}"] if this.entropy_note else []
    return "\n".join([aligned(rows), *note, verdict(this)])


def titles(k: int) -> list[str]:
    """Returns the figures' names for people."""
    told = {
        "pass@1": "pass@1, %", "pass@k": f"pass@{k}, %", "distinct@k": f"distinct@{k}", "all_right": "all right, %",
        "none_right": "none right, %", "tokens_per_path": "tokens per path", ENTROPY: "entropy per token",
    }  # fmt: skip
    return [told[name] for name in NAMES]


def cells(found: Round) -> list[str]:
    """Returns a round's figures with their intervals."""
    return [cell(name, found.figures[name]) for name in NAMES]


def cell(name: str, estimate: Estimate | None, *, signed: bool = False) -> str:
    """Returns `41.6 (38.9 to 44.3)`, in percent for shares, and a dash for None."""
    if estimate is None:
        return "–"
    factor, digits = (100, 1) if name in SHARES else (1, _DIGITS[name])
    sign = "+" if signed else ""
    mean, low, high = (f"{factor * each:{sign}.{digits}f}" for each in (estimate.mean, estimate.low, estimate.high))
    return f"{mean} ({low} to {high})"


def verdict(found: Round) -> str:
    """Returns what the rule says of a round, in words."""
    return f"round {found.number}: {'go on' if found.stop is None else f'stop: {found.stop}'}"
