"""The model card, README.md of an exported model: only what files beside the run say, and nothing where they do not.

Folders of this machine are named by their last part, as a card is there to be published; what a run makes in folders of
fixed names, by the run's too.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rft_jax import provenance
from rft_jax.evaluate.outcome import METRICS
from rft_jax.evidence.intervals import percent
from rft_jax.hf import fingerprint, located
from rft_jax.records import manifest
from rft_jax.remote import hub
from rft_jax.train import run_record
from rft_jax.train.checkpoint import Origin

_PER_LINE = 4  # settings in a line of the command
_PATHS = ("model", "checkpoint", "tokenizer", "data", "template")  # settings that may be a file's name
SHARD_GB = 5.0  # the most in a file of weights, unless told otherwise


def write(
    origin: Origin,
    run: Path | None,
    *,
    step: str,
    dtype: str,
    evaluated: bool,
    tokenizer: str | None = None,
    shard_gb: float = SHARD_GB,
) -> str:
    """Returns a card.

    Args:
        origin: of the checkpoint.
        run: folder of the training run, if it is on this machine.
        step: name of the checkpoint's folder: steps done.
        dtype: of the exported weights.
        evaluated: whether the model is the one that the run exported itself, which evaluations are of.
        tokenizer: the folder that the tokenizer was asked from, if not the run's own.
        shard_gb: the most gigabytes in a file of weights.
    """
    known = {} if run is None else _read(run / run_record.NAME)
    flags = [f"--dtype={dtype}"]
    flags += [f"--tokenizer={shlex.quote(_public(tokenizer))}"] if tokenizer else []
    flags += [f"--shard_gb={shard_gb}"] if shard_gb != SHARD_GB else []
    name = str((origin.prompt or {}).get("prompt_format", {}).get("name") or "Model")
    parts = [
        _front_matter(origin),
        f"# {_line(name)}",
        f"{_code(_public(origin.model))}, fine-tuned on {_code(_public(origin.data))} by rft_jax (rejection-sampling "
        "fine-tuning, arXiv 2308.01825). What may be done with it, the licences of the base model and of the data say.",
        _facts(origin, step, dtype),
        "## Accuracy",
        _accuracies(run, evaluated),
        "## Training",
        _training(known, step),
        "This folder was written by",
        f"```sh\npython launch/convert.py --checkpoint=RUN/checkpoints/{step} {' '.join(flags)} --output=DIR\n```",
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return text.encode(errors="replace").decode()  # a file's name need not be UTF-8


def _front_matter(origin: Origin) -> str:
    fields: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if hub.is_model(origin.model):
        fields["base_model"] = hub.split(origin.model)[0]
    if origin.data.startswith(hub.PREFIX):
        fields["datasets"] = [origin.data.removeprefix(hub.PREFIX).partition(":")[0]]
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]  # JSON is YAML
    return "\n".join(["---", *lines, "---"])


def _facts(origin: Origin, step: str, dtype: str) -> str:
    architecture = origin.architecture
    asked = (origin.prompt or {}).get("prompt_format", {})
    rows = {
        "base model": f"{_code(_public(origin.model))} (fingerprint {origin.model_fingerprint})",
        "data": f"{_code(_public(origin.data))} (fingerprint {origin.data_fingerprint})"
        + (f", {origin.fraction:g} of it" if origin.fraction != 1 else ""),
        "parameters": f"{architecture.parameters:,}, {dtype}",
        "steps": f"{step} of {origin.batch} examples, seed {origin.seed}",
        "trained": f"adapters merged here (LoRA): {origin.lora}" if origin.lora else None,
        "task": _code(_public_task(asked["task"])) if asked else None,
    }
    table = [f"| {name} | {value} |" for name, value in rows.items() if value]
    note = "\n\nThe tokenizer's chat template asks the model as it was trained." if asked else ""
    return "\n".join(["| | |", "|---|---|", *table]) + note


def _accuracies(run: Path | None, evaluated: bool) -> str:
    found = list(_evaluations(run)) if run is not None and evaluated else []
    rows = [
        f"| {_code(_public(metrics['problems']))} ({metrics['count']:,}, {metrics['shots']} shots) "
        f"| {measure} | {_line(grader)} | {percent(estimate)} |"
        for metrics in found
        for grader, measures in metrics["graders"].items()
        for measure, estimate in measures.items()
    ]
    if not rows:
        return "No evaluation of this model lies beside the training run."
    head = ["| problems | measure | grader | % (95 % interval) |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n\nmaj1@1 is greedy decoding."


def _evaluations(run: Path) -> Iterator[Mapping[str, Any]]:
    """Yields the metrics of the evaluations of a run's model: those whose paths were sampled from these very files."""
    model = fingerprint.of_model(run / "model")
    for file in sorted([*run.glob(f"*/{METRICS}"), *run.resolve().parent.glob(f"*/{METRICS}")]):
        told = _read(file.parent / "paths" / manifest.NAME)
        metrics = _read(file)
        if (
            fingerprint.same(str(told.get("model")), model)
            and {"problems", "count", "shots", "graders"} <= metrics.keys()
        ):
            yield metrics


def _training(known: Mapping[str, Any], step: str) -> str:
    settings, made = known.get("settings"), known.get("parts")
    if not isinstance(settings, dict) or not isinstance(made, list) or not made or not step.isdecimal():
        return "The run's settings are not beside the checkpoint."
    flags = [f"--config.{name}={shlex.quote(value)}" for name, value in _flat(settings)]
    lines = [" ".join(flags[start : start + _PER_LINE]) for start in range(0, len(flags), _PER_LINE)]
    command = " \\\n    ".join(["python launch/train.py --config=configs/sft.py --workdir=RUN", *lines])
    return f"```sh\n{command}\n```\n\n{_software(made, int(step))}"


def _software(parts: Sequence[Mapping[str, Any]], steps: int) -> str:
    """Returns what computed the steps, in parts where a run went on under other software or on other devices."""
    made = [part for part in parts if part["first_step"] < steps]
    lines = [_line(provenance.line(part[provenance.FIELD])) for part in made]
    if len(lines) == 1:
        return lines[0]
    ends = [*(part["first_step"] for part in made[1:]), steps]
    return "\n".join(
        f"- steps {part['first_step'] + 1:,} to {end:,}: {line}"
        for part, end, line in zip(made, ends, lines, strict=True)
    )


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            text = ",".join(value) if isinstance(value, list) else str(value)
            if name in _PATHS:
                text = _public(text)
            yield f"{before}{name}", _public_task(text) if name == "task" else text


def _public(name: str) -> str:
    """Returns a name without the folders of this machine, but for a run's own: RUN/model, RUN/checkpoints/STEP."""
    if located.is_elsewhere(name):
        return name
    *_, before, above, last = ("", "", *Path(name).parts)
    if above == "checkpoints":
        return "/".join(part for part in (before, above, last) if part.strip("/"))
    return f"{above}/{last}" if last == "model" and above.strip("/") else last or name


def _public_task(reference: str) -> str:
    """Returns a task's name without the folders of this machine; the names of columns may have slashes too."""
    end = reference.rfind(".py:") + len(".py") if ".py:" in reference else len(reference)
    file, columns = reference[:end], reference[end:]
    return f"{_public(file)}{columns}" if file.endswith(".py") else reference


def _code(name: str) -> str:
    return f"`{_line(name).replace('`', '')}`"


def _line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _read(file: Path) -> dict[str, Any]:
    """Returns a file's JSON object, or {} where there is none."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
