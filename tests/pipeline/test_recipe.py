"""From a config to commands: names, settings and mistakes."""

import dataclasses
import json
import math

import pytest

from rft_jax import names
from rft_jax.config import (
    EvaluateConfig,
    EvaluateStage,
    LossStage,
    PipelineConfig,
    SampleStage,
    SelectStage,
    TrainStage,
    WorldStage,
)
from rft_jax.config_flag import load, override
from rft_jax.errors import UserError
from rft_jax.pipeline import recipe, stage_settings
from rft_jax.pipeline.stage import fingerprint

STAGES = (
    WorldStage(name="world", train=4, test=3, seed=5),
    TrainStage(name="sft", model="base", data="gold", settings=("epochs=2",)),
    SampleStage(name="paths", model="sft", settings=("k=7",)),
    SelectStage(name="set", paths=("paths",), ks=(3,)),
    TrainStage(name="rft", model="base", data="set", k=3),
    TrainStage(name="long", model="base", data="gold", steps_of="rft"),
    EvaluateStage(name="eval-sft", model="sft"),
    EvaluateStage(name="eval", model="rft", against=("eval-sft",)),
)
CONFIG = PipelineConfig(
    problems="world/train.jsonl",
    test="world/test.jsonl",
    models=("base=models/base",),
    train_settings=("batch=32", "epochs=3"),
    k=24,
    temperature=0.9,
    seed=11,
    stages=STAGES,
)


def made(tmp_path, config=CONFIG):
    return {stage.name: stage for stage in recipe.stages(config, tmp_path)}


def test_commands_and_what_they_wait_for(tmp_path):
    stages = made(tmp_path)
    world, *others = (stage.name for stage in STAGES)
    assert list(stages) == [world, "contamination", *others, "report"]
    assert stages["sft"].arguments() == [
        "--config=configs/sft.py", "--config.task=gsm8k", "--config.seed=11", "--config.batch=32", "--config.epochs=2",
        "--config.model=models/base", f"--config.data={tmp_path}/world/train.jsonl", f"--workdir={tmp_path}/sft",
    ]  # fmt: skip
    assert "--config.k=7" in stages["paths"].flags
    assert "--config.k=24" not in stages["paths"].flags
    assert stages["paths"].reads["--config.model"] == f"{tmp_path}/sft/model"
    assert stages["set"].after == ("world", "paths")
    assert stages["rft"].reads["--config.data"] == f"{tmp_path}/set/selected.k3.jsonl"
    assert stages["eval"].after == ("rft", "world", "eval-sft")
    assert stages["eval"].locations["--config.against"] == f"{tmp_path}/eval-sft"


def test_every_file_of_the_users_own_counts_where_it_decides(tmp_path):
    (tmp_path / "task.py").write_text(
        "import dataclasses\nfrom rft_jax.task.gsm8k import TASK\n"
        "TASK = dataclasses.replace(TASK, name='own', grader='grader.py')\n"
    )
    for name in ("grader", "audit"):
        (tmp_path / f"{name}.py").write_text(
            f"from rft_jax.task.graders.robust import RobustGrader\nGRADER = RobustGrader()\nGRADER.name = '{name}'\n"
        )
    task, template, audit = (str(tmp_path / name) for name in ("task.py", "ask.jinja", "audit.py"))
    (tmp_path / "ask.jinja").write_text("{{ question }}")
    config = dataclasses.replace(
        CONFIG,
        task=task,
        train_settings=(*CONFIG.train_settings, f"template={template}"),
        evaluate_settings=(f"audit={audit}", "shots_from=few.jsonl"),
    )
    stages = made(tmp_path, config)
    own = {
        name: {what: reads for what, reads in stages[name].reads.items() if what.startswith("the ")} for name in stages
    }
    assert own["sft"] == {"the config file": own["sft"]["the config file"], "the task": task, "the template": template}
    assert own["paths"] == {"the config file": own["paths"]["the config file"], "the task": task}
    grader = str(tmp_path / "grader.py")
    assert own["set"] == {"the task": task, "the graders": (grader,)}
    assert own["eval"]["the graders"] == (grader, audit)
    assert own["eval"]["the worked examples"] == "few.jsonl"


def test_what_a_config_file_says_counts(tmp_path):
    own = tmp_path / "own.py"
    own.write_text((stage_settings.root() / "configs" / "sft.py").read_text())
    stages = made(tmp_path, dataclasses.replace(CONFIG, train=f"{own}:llama2-7b"))
    assert stages["sft"].reads[recipe.CONFIG_FILE] == str(own)
    for name, file in (("paths", "sample.py"), ("eval", "evaluate.py")):
        assert stages[name].reads[recipe.CONFIG_FILE].endswith(f"configs/{file}")


def test_the_control_takes_at_least_as_many_steps(tmp_path):
    row = json.dumps({"query": "q", "response": "r"}) + "\n"
    for place, rows in (("world/train.jsonl", 4), ("set/selected.k3.jsonl", 9)):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text(row * rows)
    # Three passes over 9 rows see 27 examples, for which 4 rows take 7 passes.
    assert made(tmp_path)["long"].late() == ("--config.epochs=7",)
    assert made(tmp_path)["sft"].late() == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            TrainStage(name="x", model="bas", data="gold"),
            r"'bas', which is not an earlier TrainStage \(did you mean 'base'",
        ),
        (
            TrainStage(name="x", model="base", data="st"),
            r"not an earlier SelectStage \(did you mean 'set'\?\); known: gold, set",
        ),
        (TrainStage(name="x", model="base", data="set", k=4), r"needs k = 4 of set, whose ks are \(3,\)"),
        (TrainStage(name="x", model="y", data="gold"), "stage x needs 'y'"),
        (SelectStage(name="x", paths=()), "no paths to select from"),
        (SelectStage(name="x", paths=("sft",)), "not an earlier SampleStage"),
        (
            SelectStage(name="x", paths=("paths",), ks=(7, 8, 9)),
            "stage x: no set from the first 8 samples, as paths has 7 per problem",
        ),
        (EvaluateStage(name="x", model="rft", against=("x",)), "not an earlier EvaluateStage"),
        (SampleStage(name="sft", model="base"), "two models or stages are named 'sft'"),
        (SampleStage(name="base", model="base"), "two models or stages are named 'base'"),
        (SampleStage(name="../x", model="base"), "use letters"),
    ],
)
def test_mistakes_in_stages(tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        recipe.stages(dataclasses.replace(CONFIG, stages=(*STAGES, change)), tmp_path)


def test_a_set_of_more_samples_than_an_evaluation_voted_with_is_refused(tmp_path):
    voted = EvaluateStage(name="voted", model="sft", settings=("k=5",))
    chosen = SelectStage(name="x", paths=("voted",), ks=(5,))
    assert "x" in made(tmp_path, dataclasses.replace(CONFIG, stages=(*STAGES, voted, chosen)))
    more = dataclasses.replace(chosen, ks=(5, 6))
    with pytest.raises(UserError, match="stage x: no set from the first 6 samples, as voted has 5 per problem"):
        made(tmp_path, dataclasses.replace(CONFIG, stages=(*STAGES, voted, more)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train_settings": ("lerning_rate=1",)}, "stage sft: unknown config field 'lerning_rate'.*'learning_rate'"),
        ({"sample_settings": ("top_k=many",)}, "stage paths: config field 'top_k': 'many' is not a whole number"),
        ({"evaluate_settings": ("k",)}, "stage eval-sft: config field 'k': '' is not a whole number"),
        ({"train_settings": ("model=x",)}, "stage sft: the pipeline itself sets 'model'"),
        ({"train": "configs/stf.py"}, "stage sft: no config file .*configs/stf.py"),
        ({"sample": "configs/sft.py"}, "stage paths: .* makes a TrainConfig, this command needs a SampleConfig"),
    ],
)
def test_mistakes_in_settings_are_told_before_anything_runs(tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        recipe.stages(dataclasses.replace(CONFIG, **change), tmp_path)


def test_two_samplings_of_one_model_have_two_names(tmp_path):
    hot = SampleStage(name="hot", model="sft", settings=("temperature=1.0",))
    stages = made(tmp_path, dataclasses.replace(CONFIG, stages=(*STAGES, hot)))
    assert "--config.name=sft" in stages["paths"].flags
    assert "--config.name=hot" in stages["hot"].flags


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (("a=x", "a=y"), "two models are named 'a': x and y"),
        (("folder",), "write NAME=FOLDER"),
        (("=x",), "NAME=FOLDER"),
    ],
)
def test_mistakes_in_models(tmp_path, models, told):
    with pytest.raises(UserError, match=told):
        recipe.stages(dataclasses.replace(CONFIG, models=models), tmp_path)


def test_the_shipped_configs_make_stages(tmp_path):
    root = stage_settings.root()
    quick = load(f"{root}/configs/quickstart.py:2", PipelineConfig)
    assert recipe.stages(quick, tmp_path)[0].flags[-1] == "--seed=2"
    two = load(f"{root}/configs/gsm8k.py:llama2-7b=/x,llama2-13b=/y+", PipelineConfig)
    stages = {stage.name: stage for stage in recipe.stages(two, tmp_path)}
    assert "--config=configs/sft.py:llama2-13b" in stages["llama2-13b-sft"].flags
    # The second round samples from the model that the first one trained on all paths, and keeps the first one's paths.
    assert stages["llama2-7b-paths2"].reads["--config.model"] == f"{tmp_path}/llama2-7b-union1/model"
    united = stages["llama2-7b-union2-set"].reads["--paths"]
    assert [sum(name in place for place in united) for name in ("paths1", "paths2")] == [2, 2]
    for argument, told in {"": "name the models", "7b": "name the models"}.items():
        with pytest.raises(UserError, match=told):
            load(f"{root}/configs/gsm8k.py:{argument}", PipelineConfig)
    with pytest.raises(UserError, match="a seed"):
        load(f"{root}/configs/quickstart.py:x", PipelineConfig)


@pytest.mark.parametrize("name", ["lr=1e-5,seed=0", "run[1]", "a*b", 'say "so"', "back\\slash", "with space", "what?"])
def test_a_workdir_of_any_name_is_what_the_commands_are_given(tmp_path, name):
    workdir = tmp_path / name
    decoy = tmp_path / "run1" / "paths" / "paths"
    stages = made(workdir, dataclasses.replace(CONFIG, models=(f"base={workdir}/base",)))
    for folder in (decoy, workdir / "paths" / "paths"):
        folder.mkdir(parents=True)
        (folder / "0.jsonl").write_text(str(folder))
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in stages["set"].arguments())
    (pattern,) = names.split_list(flags["paths"])
    assert names.matches(pattern) == [f"{workdir}/paths/paths/0.jsonl"]
    assert flags["output"] == f"{workdir}/set/selected.jsonl"
    before = fingerprint(stages["set"].reads["--paths"])
    (decoy / "0.jsonl").write_text("changed")
    assert fingerprint(stages["set"].reads["--paths"]) == before != "absent"
    (workdir / "paths" / "paths" / "0.jsonl").write_text("changed")
    assert fingerprint(stages["set"].reads["--paths"]) not in (before, "absent")
    (workdir / "paths" / "paths" / "0.jsonl").unlink()
    assert fingerprint(stages["set"].reads["--paths"]) == "absent"
    assert stages["sft"].reads["--config.model"] == f"{workdir}/base"
    # The list is quoted as the command reads it.
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in stages["eval"].arguments())
    evaluation = load(f"{stage_settings.root()}/configs/evaluate.py", EvaluateConfig)
    read = override(evaluation, "against", flags["config.against"])
    assert read.against == (f"{workdir}/eval-sft",)


def test_a_rule_of_ones_own_is_read_and_an_unknown_one_refused(tmp_path):
    rule = tmp_path / "own.py"
    rule.write_text(
        "from rft_jax.select.rules import Rule\nRULE = Rule(name='all', choose=lambda paths, _: list(paths))\n"
    )

    def with_rules(rules):
        stages = tuple(
            dataclasses.replace(stage, rules=rules) if isinstance(stage, SelectStage) else stage for stage in STAGES
        )
        return made(tmp_path, dataclasses.replace(CONFIG, stages=stages))["set"]

    assert with_rules(str(rule)).reads["the rule"] == str(rule)
    assert f"--rules={rule}" in with_rules(str(rule)).arguments()
    with pytest.raises(UserError, match="stage set: no rule is called 'papre'"):
        with_rules("papre")


def test_a_cap_is_passed_on(tmp_path):
    def with_cap(cap):
        stages = tuple(
            dataclasses.replace(stage, cap=cap) if isinstance(stage, SelectStage) else stage for stage in STAGES
        )
        return made(tmp_path, dataclasses.replace(CONFIG, stages=stages))["set"].arguments()

    assert [flag for flag in with_cap(4) if flag.startswith("--cap")] == ["--cap=4"]
    assert [flag for flag in with_cap(None) if flag.startswith("--cap")] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train_settings": ("batch=0",)}, "stage sft: batch = 0: it must be at least 1"),
        ({"train_settings": ("warmup=2",)}, r"stage sft: warmup = 2\.0: it must be at least 0 and at most 1"),
        (
            {"train_settings": ("learning_rate=nan",)},
            "stage sft: learning_rate = nan: it must be at least 0 and finite",
        ),
        ({"train_settings": ("mesh.fsdp=0",)}, r"stage sft: mesh\.fsdp = 0: it must be -1, or at least 1"),
        ({"train_settings": ("mesh.data=-1",)}, "stage sft: mesh data -1 × fsdp -1 × tensor 1: only one axis"),
        ({"sample_settings": ("top_p=1.5",)}, r"stage paths: top_p = 1\.5: it must be above 0 and at most 1, or none"),
        ({"temperature": -0.7}, r"^temperature = -0\.7: it must be 0, or at least 1e-06 and finite"),
        ({"evaluate_settings": ("k=4", "temperature=0")}, "stage eval-sft: temperature = 0: all k = 4 samples"),
        ({"evaluate_settings": ("shots=8",)}, r"stage eval-sft: 8 worked examples need --config\.shots_from=FILE"),
        ({"stages": (WorldStage(name="w", train=0, test=3, seed=5),)}, "stage w: train = 0: it must be at least 1"),
        ({"stages": (*STAGES, SelectStage(name="s", paths=("paths",), ks=(3, 0)))}, "stage s: ks = 3,0: it must be"),
        ({"stages": (*STAGES, SelectStage(name="s", paths=("paths",), cap=0))}, "stage s: cap = 0: it must be"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_told_before_anything_runs(tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        recipe.stages(dataclasses.replace(CONFIG, **change), tmp_path)


WITH_FRESH = (
    dataclasses.replace(STAGES[0], fresh=20, variants=2, templates=3, fresh_seed=4),
    *STAGES[1:],
    EvaluateStage(name="fresh-sft", model="sft", problems="world/fresh.jsonl"),
    EvaluateStage(name="fresh", model="rft", problems="world/fresh.jsonl", against=("fresh-sft",)),
    EvaluateStage(name="varied", model="rft", problems="world/variants.jsonl", settings=("groups=id",)),
)


def test_an_evaluation_may_be_on_other_problems(tmp_path):
    config = dataclasses.replace(CONFIG, controls=(), stages=WITH_FRESH)
    stages = made(tmp_path, config)
    assert stages["world"].flags == (
        "--train=4", "--test=3", "--seed=5", "--fresh=20", "--variants=2", "--templates=3", "--fresh_seed=4",
    )  # fmt: skip
    assert stages["world"].output == ("train.jsonl", "test.jsonl", "fresh.jsonl", "variants.jsonl")
    assert stages["fresh"].reads["--config.problems"] == f"{tmp_path}/world/fresh.jsonl"
    assert stages["fresh"].after == ("rft", "world", "fresh-sft")
    assert stages["varied"].reads["--config.problems"] == f"{tmp_path}/world/variants.jsonl"
    assert stages["eval"].reads["--config.problems"] == f"{tmp_path}/world/test.jsonl"
    replicates = made(tmp_path, dataclasses.replace(config, seeds=2))
    assert {"--fresh=20", "--fresh_seed=4", "--seed=6"} < set(replicates["world.seed12"].flags)


def test_a_stage_without_fresh_problems_is_as_before(tmp_path):
    assert made(tmp_path)["world"].flags == ("--train=4", "--test=3", "--seed=5")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problems": "world/frehs.jsonl"}, r"stage world makes no frehs\.jsonl \(did you mean 'fresh\.jsonl'\?\)"),
        (
            {"problems": None},
            r"stage fresh, on world/test\.jsonl, cannot be compared with fresh-sft, which is on world/fr",
        ),
        ({"settings": ("problems=x",)}, "the pipeline itself sets 'problems'"),
    ],
)
def test_evaluations_on_different_problems_are_not_compared(tmp_path, change, told):
    stages = [dataclasses.replace(each, **change) if each.name == "fresh" else each for each in WITH_FRESH]
    with pytest.raises(UserError, match=told):
        made(tmp_path, dataclasses.replace(CONFIG, stages=tuple(stages)))


def test_fresh_problems_that_may_be_test_problems_are_refused(tmp_path):
    many = dataclasses.replace(STAGES[0], name="many", test=1025)
    with pytest.raises(UserError, match="stage many: the world has 1,024 standard test problems, not 1,025"):
        made(tmp_path, dataclasses.replace(CONFIG, stages=(*WITH_FRESH, many)))


def test_the_quickstart_on_fresh_problems_trains_what_the_quickstart_trains(tmp_path):
    quickstart, fresh = (
        made(tmp_path, load(f"{stage_settings.root()}/configs/{name}.py:3", PipelineConfig))
        for name in ("quickstart", "fresh")
    )
    assert {name: stage.flags for name, stage in quickstart.items()}.items() <= {
        name: stage.flags for name, stage in fresh.items()
    }.items()
    more = [stage for name, stage in fresh.items() if name not in quickstart]
    assert {stage.kind for stage in more} == {"world", "evaluate"}
    asked = {stage.reads["--config.problems"] for stage in more if stage.kind == "evaluate"}
    assert asked == {f"{tmp_path}/fresh/fresh.jsonl"}
    models = [
        [stage.reads["--config.model"] for stage in of if stage.kind == "evaluate"]
        for of in (more, quickstart.values())
    ]
    assert sorted(models[0]) == sorted(models[1])


def test_the_loss_of_a_model_on_text(tmp_path):
    world = dataclasses.replace(STAGES[0], corpus=9)
    of_base = LossStage(name="loss", model="base", text="some, text.txt")
    of_sft = LossStage(name="loss-sft", model="sft", text="world/corpus.jsonl", field="query,response")
    stages = made(tmp_path, dataclasses.replace(CONFIG, seeds=2, stages=(world, *STAGES[1:], of_base, of_sft)))
    assert stages["loss"].arguments() == [
        "--model=models/base", '--text="some, text.txt"', f"--output={tmp_path}/loss/loss.json",
    ]  # fmt: skip
    assert stages["loss"].reads["the text"] == "some, text.txt"
    assert "loss.seed12" not in stages  # it does not depend on the seed
    second = stages["loss-sft.seed12"]
    assert second.flags == ("--field=query,response",)
    assert second.after == ("sft.seed12", "world.seed12")
    assert second.reads["the text"] == f"{tmp_path}/world.seed12/corpus.jsonl"
    with pytest.raises(UserError, match="stage loss needs 'bsae', which is not an earlier TrainStage"):
        made(tmp_path, dataclasses.replace(CONFIG, stages=(*STAGES, dataclasses.replace(of_base, model="bsae"))))


def test_what_is_no_stage_is_not_dropped(tmp_path):
    with pytest.raises(
        UserError, match="a stage of the config is a str, not one of WorldStage, DrawStage, ContaminationStage"
    ):
        recipe.stages(dataclasses.replace(CONFIG, stages=("world",)), tmp_path)
    # Whoever adds a kind is told by mypy where it is missing, and if not, by this.
    with pytest.raises(AssertionError):
        stage_settings.check(CONFIG, dataclasses.make_dataclass("NewStage", [("name", str)])("x"))


def test_the_steps_of_a_stage_that_has_the_steps_of_another(tmp_path):
    """In steps, whatever their batches and fractions, and as the trainer counts them."""
    row = json.dumps({"query": "q", "response": "r"}) + "\n"
    for place, rows in (("world/train.jsonl", 40), ("set/selected.k3.jsonl", 90)):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text(row * rows)
    chain = (
        TrainStage(name="longer", model="base", data="gold", steps_of="long", settings=("batch=8", "fraction=1/2")),
        TrainStage(name="longest", model="base", data="set", k=3, steps_of="longer"),
    )
    stages = made(tmp_path, dataclasses.replace(CONFIG, stages=(*STAGES, *chain)))

    def passes(name):
        ((flag, number),) = (flag.split("=") for flag in stages[name].late())
        assert flag == "--config.epochs"
        return int(number)

    def steps(examples, epochs, batch):
        return math.ceil(examples * epochs / batch)

    assert stages["longest"].after[-1] == "longer"
    rft, long = steps(90, 3, 32), steps(40, passes("long"), 32)
    longer, longest = steps(20, passes("longer"), 8), steps(90, passes("longest"), 32)
    assert rft <= long <= longer <= longest <= rft + 4
    assert passes("long") == 7
    with pytest.raises(UserError, match="stage x needs 'lnog'"):
        last = TrainStage(name="x", model="base", data="gold", steps_of="lnog")
        made(tmp_path, dataclasses.replace(CONFIG, stages=(*STAGES, last)))
