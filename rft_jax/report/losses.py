"""The losses that were measured on text, model beside model."""

from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.report.collect import Workdir, read_object, short
from rft_jax.report.page import paragraph, table

FILE = "loss.json"
_ESTIMATES = ("nats_per_token", "bits_per_byte")
_FIELDS = {
    "name": str, "text": list, "fields": list | None, "text_fingerprint": str, "documents": int, "bytes": int,
    "tokens": int, "window": int, "stride": int,
}  # fmt: skip


def read(run: Workdir) -> dict[str, dict[str, Any]]:
    """Returns each stage that measured a loss, in the order of the plan, else by name, with its loss.json.

    Raises:
        UserError: one cannot be read.
    """
    order = [stage["name"] for stage in run.plan.get("stages", ())]
    there = sorted(file.parent.name for file in run.folder.glob(f"*/{FILE}"))
    names = [name for name in order if name in there] + [name for name in there if name not in order]
    return {name: _read(run.folder / name / FILE) for name in names}


def _read(file: Path) -> dict[str, Any]:
    fields = read_object(file)
    wrong = [name for name, kind in _FIELDS.items() if name not in fields or not isinstance(fields[name], kind)]
    wrong += [name for name in _ESTIMATES if not _is_estimate(fields.get(name))]
    if wrong:
        raise UserError(f"{file} is no loss that this version can read ({', '.join(wrong)}): measure it again")
    return fields


def _is_estimate(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("mean"), int | float):
        return False
    ends = [value.get("low", ""), value.get("high", "")]
    return ends == [None, None] or value.get("low", "") is None or all(isinstance(end, int | float) for end in ends)


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
    texts = ", ".join(map(short, first["text"]))
    told = f"{texts}{_fields(first)}: {first['documents']:,} documents, {first['bytes']:,} bytes."
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
    if measured.get("task"):
        return f" (responses, as {measured['task']} asks)"
    return f" ({', '.join(measured['fields'])})" if measured["fields"] else ""
