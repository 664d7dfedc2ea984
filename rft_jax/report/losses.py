"""The losses that were measured on text, model beside model."""

import json
from typing import Any

from rft_jax.report.collect import Workdir
from rft_jax.report.page import paragraph, table

FILE = "loss.json"


def read(run: Workdir) -> dict[str, dict[str, Any]]:
    """Returns each stage that measured a loss, in the order of the plan, else by name, with its loss.json."""
    order = [stage["name"] for stage in run.plan.get("stages", ())]
    there = sorted(file.parent.name for file in run.folder.glob(f"*/{FILE}"))
    names = [name for name in order if name in there] + [name for name in there if name not in order]
    return {name: json.loads((run.folder / name / FILE).read_text(encoding="utf-8")) for name in names}


def model_of(run: Workdir, stage: str, measured: dict[str, Any]) -> str:
    """Returns the model whose loss a stage measured, by its name in the plan."""
    return str(run.stage(stage).get("model") or measured["name"])


def section(run: Workdir) -> str:
    """Returns a table for each text: a row for each model."""
    texts: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for stage, measured in read(run).items():
        texts.setdefault(measured["text_fingerprint"], []).append((model_of(run, stage, measured), measured))
    if not texts:
        return ""
    intro = paragraph(
        "The mean negative log-likelihood of a token, in nats, with 95 % intervals over documents; it compares models "
        "of one tokenizer. Bits per byte compare all. Documents are not joined."
    )
    return intro + "".join(_table(found) for found in texts.values())


def _table(found: list[tuple[str, dict[str, Any]]]) -> str:
    first = found[0][1]
    told = f"{', '.join(first['text'])}{_fields(first)}: {first['documents']:,} documents, {first['bytes']:,} bytes."
    rows = [
        [
            model,
            f"{measured['tokens']:,}",
            f"{measured['window']:,}, {measured['stride']:,}",
            cell(measured["nats_per_token"]),
            cell(measured["bits_per_byte"]),
        ]
        for model, measured in found
    ]
    head = ["model", "tokens", "window, stride", "nats per token", "bits per byte"]
    return paragraph(told) + table(head, rows)


def cell(estimate: dict[str, float | None]) -> str:
    """Returns `1.753 (1.701 to 1.808)`, or the mean alone where there is no interval."""
    interval = "" if estimate["low"] is None else f" ({estimate['low']:.3f} to {estimate['high']:.3f})"
    return f"{estimate['mean']:.3f}{interval}"


def _fields(measured: dict[str, Any]) -> str:
    return f" ({', '.join(measured['fields'])})" if measured["fields"] else ""
