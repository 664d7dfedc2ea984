"""What a model of a plan is in the paper's terms, and the paper's figure, where the setting is the paper's too."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from rft_jax.config import GOLD
from rft_jax.report import paper
from rft_jax.report.collect import Evaluation, Workdir
from rft_jax.select import rules
from rft_jax.task.task import DEFAULT, Reference

NOT_PLANNED = "not in the plan"

_RULES = ("paper", "reference", rules.NONE)  # the paper's rules of selection
# What suits a run to its model and devices, or is drawn: the paper's, too, differs between models.
_SUITED = frozenset({
    "seed", "batch", "learning_rate", "max_length", "packing", "row_length", "max_new_tokens", "begin_token",
    "end_tokens", "compute", "moments", "accumulation", "remat", "attention", "loss_chunk", "rows", "save_every",
    "keep", "checkpoints",
})  # fmt: skip
_MESH = "mesh."
# The paper's own settings, section 3; any other setting is none of it.
_PAPERS = {"epochs": Fraction(3), "fraction": Fraction(1), "k": Fraction(100), "temperature": Fraction("0.7")}
_ON = "trained on "
_SHOTS = 8  # of the paper's ICL


def kind_of(run: Workdir, model: str) -> str:
    """Returns the kind of a model, NOT_PLANNED, or "" without a plan.

    What stands behind a comma sets the stages apart from those of the paper.
    """
    if not run.plan:
        return ""
    if model in _models(run):
        return "base"
    stage = run.stage(model)
    if stage.get("kind") != "train":
        return NOT_PLANNED
    kind, others = _by_data(run, stage)
    if kind.startswith(_ON):
        return kind
    if not _is_pretrained(run, stage["model"]):
        others += [f"from {stage['model']}"]
    others += [f"k = {stage['k']}"] if stage.get("k") else []
    others += ["part"] if fraction_of(run, stage) != 1 else []
    others += ["own settings"] if _own(_fields(stage)) or _is_another_config(stage.get("config")) else []
    return ", ".join([kind, *others])


def fraction_of(run: Workdir, stage: Mapping[str, Any]) -> Fraction:
    """Returns the fraction of its data that a training stage uses."""
    return Fraction(_training(run, stage).get("fraction", "1"))


def paper_figure(run: Workdir, evaluation: Evaluation) -> tuple[str, float] | None:
    """Returns what the paper calls such an evaluation and its accuracy in percent; None if it has no such."""
    model, asked = evaluation.metrics["name"], run.stage(evaluation.name)
    kind = kind_of(run, model)
    papers_task = Reference.parse(run.plan.get("task", DEFAULT)).name == DEFAULT
    drawn = any(stage["kind"] == "draw" and stage["fraction"] != 1 for stage in run.plan.get("stages", ()))
    if not asked or asked["problems"] is not None or not papers_task or drawn or evaluation.grader != "reference":
        return None
    if evaluation.metrics.get("shots", 0) != (_SHOTS if kind == "base" else 0):
        return None
    if not _is_as_in_the_paper(run, run.stage(model)):
        return None
    if kind == "union":
        paths = run.stage(run.stage(model)["data"])["paths"]
        kind = paper.union_of(len({run.stage(path)["model"] for path in paths}))
    return paper.ACCURACY.get(kind)


def is_alike(run: Workdir, stage: Mapping[str, Any]) -> bool:
    """Returns whether a stage of training has the pipeline's settings but for its fraction and seed.

    Only such stages stand in one curve.
    """
    own = set(_fields(stage)) - {"seed", "fraction"}
    return not own and stage.get("config") == _common_config(run, stage["model"])


def _by_data(run: Workdir, stage: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Returns the kind of a stage of training by its data, and what else is to be said of them."""
    if stage["data"] == GOLD:
        return ("sft, longer" if stage.get("steps_of") else "sft"), []
    data = run.stage(stage["data"])
    if data.get("kind") != "select":
        return f"{_ON}{stage['data']}", []
    capped = [f"at most {data['cap']} paths"] if data.get("cap") else []
    if data["rules"] not in _RULES:
        return rules.label(data["rules"]), capped
    sampled = [run.stage(path) for path in data["paths"]]
    models = dict.fromkeys(each["model"] for each in sampled)
    if any(run.stage(run.stage(model).get("data", "")).get("kind") == "select" for model in models):
        return "later round", capped  # its paths come from models trained on paths, which the paper has not
    of_sft = all(kind_of(run, model) == "sft" for model in models)
    plain = of_sft and all(each["kind"] == "sample" and not _own(_fields(each)) for each in sampled)
    several = len(models) > 1
    if data["rules"] == rules.NONE:
        kind = "union, no dedup" if several else "no dedup"
    else:
        kind = "union" if several else "rft"
    return kind, [*capped, *([] if plain else ["other paths"])]


def _is_as_in_the_paper(run: Workdir, stage: Mapping[str, Any]) -> bool:
    """Returns whether the pipeline's settings for a stage, and for all that it needs, are the paper's."""
    match stage.get("kind"):
        case "train":
            needed = [run.stage(name) for name in (stage["model"], stage["data"])]
            fields, config = _training(run, stage), stage.get("config") or run.plan.get("train")
            fits = not _own(fields) and not _is_another_config(config)
        case "select":
            needed, fits = [run.stage(path) for path in stage["paths"]], not stage.get("cap")
        case "sample":
            common = {"k": str(run.plan["k"]), "temperature": str(run.plan["temperature"])}
            fields = common | _read(run.plan.get("sample_settings", ())) | _fields(stage)
            needed = [run.stage(stage["model"])]
            fits = not _own(fields) and not _is_another_config(run.plan.get("sample"))
        case _:
            return True  # a model of the pipeline, or what makes a text to pre-train on
    if stage.get("kind") == "train" and kind_of(run, stage["name"]).startswith(_ON):
        return True  # the pre-training of a start
    return fits and all(_is_as_in_the_paper(run, each) for each in needed)


def _is_pretrained(run: Workdir, model: str) -> bool:
    """Returns whether a model is one of the pipeline's, or was pre-trained in it on a corpus."""
    maker, _, file = run.stage(model).get("data", "").partition("/")
    return model in _models(run) or (run.stage(maker).get("kind") == "world" and file == "corpus.jsonl")


def _models(run: Workdir) -> list[str]:
    return [entry.partition("=")[0] for entry in run.plan.get("models", ())]


def _common_config(run: Workdir, model: str) -> str | None:
    """Returns the config of the first SFT from a start: sizes have their own."""
    stages = (stage for stage in run.plan.get("stages", ()) if stage["kind"] == "train")
    return next((each.get("config") for each in stages if each["model"] == model and each["data"] == GOLD), None)


def _is_another_config(reference: str | None) -> bool:
    """Returns whether a config is none of the shipped ones, or the one with the surprises of the reference's code."""
    if reference is None:
        return False
    file, _, argument = reference.partition(":")
    shipped = Path(file).parent.name == "configs" and Path(file).name in ("sft.py", "sample.py")
    return not shipped or argument.rpartition(":")[2] == "paper"


def _training(run: Workdir, stage: Mapping[str, Any]) -> dict[str, str]:
    return _read(run.plan.get("train_settings", ())) | _fields(stage)


def _fields(stage: Mapping[str, Any]) -> dict[str, str]:
    return _read(stage.get("settings", ()))


def _read(settings: Sequence[str]) -> dict[str, str]:
    return dict(setting.partition("=")[::2] for setting in settings)


def _own(fields: Mapping[str, str]) -> list[str]:
    """Returns the settings that are not the paper's, but the fraction, which has a word of its own."""
    return [
        name
        for name, value in fields.items()
        if name not in _SUITED and name != "fraction" and not name.startswith(_MESH) and not _is_papers(name, value)
    ]


def _is_papers(name: str, value: str) -> bool:
    try:
        return Fraction(value) == _PAPERS.get(name)
    except (ValueError, ZeroDivisionError):
        return False
