"""Checks of rounds in a pipeline: what they read, and what is skipped when one says stop."""

import dataclasses
import json
from pathlib import Path

import pytest

from rft_jax.config import EvaluateStage, PipelineConfig, RoundStage, SampleStage, SelectStage, TrainStage, WorldStage
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.pipeline import plan_file, recipe, slurm
from rft_jax.pipeline.dry_run import plan
from rft_jax.pipeline.run import run_only, run_stages
from rft_jax.pipeline.stage import RECORD, Stage
from rft_jax.pipeline.stage_settings import root
from rft_jax.pipeline.states import states
from rft_jax.records.problem import write_problems
from rft_jax.rounds.check import check
from tests.rounds import made

STAGES = (
    WorldStage(name="world", train=4, test=3, seed=5),
    TrainStage(name="model-0", model="base", data="gold"),
    SampleStage(name="paths-1", model="model-0"),
    RoundStage(name="round-1", paths="paths-1"),
    SelectStage(name="set-1", paths=("paths-1",), unless=("round-1",)),
    TrainStage(name="model-1", model="base", data="set-1"),
    EvaluateStage(name="eval-1", model="model-1"),
    SampleStage(name="paths-2", model="model-1"),
    RoundStage(name="round-2", paths="paths-2", previous="round-1"),
    SelectStage(name="set-2", paths=("paths-1", "paths-2"), unless=("round-2",)),
    TrainStage(name="model-2", model="base", data="set-2"),
    EvaluateStage(name="eval-2", model="model-2", against=("eval-1",)),
)
SKIPPED = ["set-2", "model-2", "eval-2"]
CONFIG = PipelineConfig(
    problems="world/train.jsonl", test="world/test.jsonl", models=(f"base={root()}/rft_jax/world/base_model",), k=4,
    temperature=0.9, seed=11, controls=(), contamination=False, stages=STAGES,
)  # fmt: skip

# Writes down that it ran, and all that a stage is to make; a check says what it is told to.
SCRIPT = """
import json, pathlib, shutil, sys
flags = dict(flag.removeprefix("--").split("=", 1) for flag in sys.argv[1:])
out = pathlib.Path(flags["stand-in"])
with (out.parent / "ran").open("a") as ran:
    ran.write(out.name + "\\n")
says = out.parent / f"says-{out.name}.json"
for name in json.loads(flags["makes"]):
    target = out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(says, target) if says.exists() else target.write_text("made")
"""


class Bench:
    """Those stages with a command that takes no time in place of their own."""

    def __init__(self, folder: Path) -> None:
        self.workdir = folder / "out"
        self.workdir.mkdir()
        self.script = folder / "stand_in.py"
        self.script.write_text(SCRIPT)
        self.config = CONFIG
        self._folder = folder
        self.says(1)
        self.says(2, stop=False)

    def says(self, number: int, *, stop: bool = False) -> None:
        """Writes what a check is to say: a first round never stops."""
        worse, better = [[0, 0, 1, 0]] * 12, [[1, 2, 0, 1]] * 12
        first = self._folder / "first.json"
        pattern = made.write(self._folder / "first", worse)
        check(str(self._folder / "first" / "problems.jsonl"), [pattern], task="gsm8k")[0].write(first)
        ways = worse if stop else better
        pattern = made.write(self._folder / "then", ways)
        found, _ = check(
            str(self._folder / "then" / "problems.jsonl"), [pattern], task="gsm8k",
            previous=None if number == 1 else str(first),
        )  # fmt: skip
        assert bool(found.stop) == stop
        found.write(self.workdir / f"says-round-{number}.json")

    def stages(self, config: PipelineConfig | None = None) -> list[Stage]:
        return [
            dataclasses.replace(
                stage, script=str(self.script), late=tuple,
                locations={
                    "--stand-in": str(self.workdir / stage.name), "--makes": json.dumps(list(stage.output)),
                },
                reads={what: reads for what, reads in stage.reads.items() if what != recipe.CONFIG_FILE},
            )
            for stage in recipe.stages(config or self.config, self.workdir)
        ]  # fmt: skip

    def run(self, *, redo: bool = False) -> None:
        described = plan_file.describe(self.config)
        run_stages(self.stages(), self.workdir, redo=redo, command="the command", described=described)

    def ran(self) -> list[str]:
        file = self.workdir / "ran"
        return file.read_text().splitlines() if file.exists() else []

    def what(self) -> dict[str, str]:
        return {name: state.what for name, state in states(self.stages(), self.workdir).items()}


@pytest.fixture
def bench(tmp_path):
    """Returns a fresh Bench."""
    return Bench(tmp_path)


def test_commands_and_what_they_wait_for(tmp_path):
    stages = {stage.name: stage for stage in recipe.stages(CONFIG, tmp_path)}
    assert stages["round-2"].arguments() == [
        "--task=gsm8k", f"--problems={tmp_path}/world/train.jsonl", f"--paths={tmp_path}/paths-2/paths/*.jsonl",
        f"--previous={tmp_path}/round-1/round.json", f"--output={tmp_path}/round-2/round.json",
    ]  # fmt: skip
    assert stages["round-1"].after == ("world", "paths-1")
    assert stages["round-2"].after == ("world", "paths-2", "round-1")
    assert stages["set-2"].unless == ("round-2",)
    # What a check says changes what is done, not how: a set is the same set without one.
    plain = dataclasses.replace(
        CONFIG, stages=tuple(dataclasses.replace(each, unless=()) if each.name == "set-2" else each for each in STAGES)
    )
    other = {stage.name: stage for stage in recipe.stages(plain, tmp_path)}["set-2"]
    assert dataclasses.replace(stages["set-2"], late=tuple) == dataclasses.replace(
        other, unless=("round-2",), late=tuple
    )


def test_a_round_may_be_checked_on_problems_that_nobody_trains_on(tmp_path):
    changed = {
        "world": {"fresh": 5}, "round-2": {"paths": "eval-1", "previous": None},
        "eval-1": {"settings": ("k=4",), "problems": "world/fresh.jsonl"}, "eval-2": {"against": ()},
    }  # fmt: skip
    own = tuple(dataclasses.replace(each, **changed.get(each.name, {})) for each in STAGES)
    stages = {each.name: each for each in recipe.stages(dataclasses.replace(CONFIG, stages=own), tmp_path)}
    assert stages["round-2"].reads["--problems"] == f"{tmp_path}/world/fresh.jsonl"
    assert stages["round-2"].reads["--paths"] == (f"{tmp_path}/eval-1/votes/paths/*.jsonl",)
    assert stages["round-2"].after == ("world", "eval-1")


def test_all_is_done_where_nothing_says_stop(bench):
    bench.run()
    names = [stage.name for stage in STAGES]
    assert bench.ran() == [*names, "report"]
    bench.run()
    assert bench.ran() == [*names, "report"]
    assert set(bench.what().values()) == {"done"}


def test_what_follows_a_stop_is_skipped_and_told_in_one_line(bench, capfd):
    bench.says(2, stop=True)
    assert set(bench.what().values()) == {"new"}  # nobody knows yet
    bench.run()
    done = [stage.name for stage in STAGES if stage.name not in SKIPPED]
    assert bench.ran() == [*done, "report"]
    told = [line for line in capfd.readouterr().out.splitlines() if "skipped" in line]
    [line] = told
    assert line.startswith("round-2 says stop (no gain: pass@1 +0.0 (")
    assert line.endswith("against round 1): set-2, model-2, eval-2 skipped")
    assert not (bench.workdir / "model-2").exists()

    bench.run()
    assert bench.ran() == [*done, "report"]
    shown = capfd.readouterr().out
    assert [each for each in shown.splitlines() if "skipped" in each] == [line]
    assert "report: done before, unchanged" in shown
    assert bench.what() == {name: "skipped" if name in SKIPPED else "done" for name in bench.what()}


def test_a_run_that_was_killed_goes_on_in_the_same_way(bench):
    bench.says(2, stop=True)
    bench.run()
    ran = bench.ran()
    (bench.workdir / "round-2" / "round.json").unlink()
    (bench.workdir / "paths-2" / RECORD).unlink()
    assert bench.what()["set-2"] == "new"  # the check is made again, and may say something else
    bench.run()
    assert bench.ran()[len(ran) :] == ["paths-2", "round-2", "report"]


def test_another_verdict_takes_up_what_was_skipped(bench):
    bench.says(2, stop=True)
    bench.run()
    bench.says(2, stop=False)
    (bench.workdir / "round-2" / "round.json").unlink()
    ran = bench.ran()
    bench.run()
    assert bench.ran()[len(ran) :] == ["round-2", *SKIPPED, "report"]


def test_what_was_done_before_a_stop_stays(bench, capfd):
    """As where a finished pipeline is given a check that says stop."""
    bench.config = dataclasses.replace(
        CONFIG, stages=tuple(dataclasses.replace(each, unless=()) if each.name == "set-2" else each for each in STAGES)
    )
    bench.says(2, stop=True)
    bench.run()
    bench.config = CONFIG
    ran = bench.ran()
    assert [name for name, what in bench.what().items() if what == "skipped"] == SKIPPED
    bench.run()
    assert bench.ran()[len(ran) :] == ["report"]  # it does not count on what is skipped
    assert (bench.workdir / "eval-2" / "metrics.json").exists()
    assert "skipped" in capfd.readouterr().out


def test_a_single_stage_that_is_skipped_ends_well(bench, capfd, monkeypatch):
    """As SLURM's jobs start them."""
    bench.says(2, stop=True)
    made_stages = bench.stages()
    monkeypatch.setattr(recipe, "stages", lambda *_: made_stages)

    def only(name: str) -> None:
        run_only(
            CONFIG, bench.workdir, name, launcher=["env"], workers=None, redo=False, command="the command"
        )  # fmt: skip

    order = [stage.name for stage in made_stages]
    for name in order[: order.index("round-2")]:
        only(name)
    with pytest.raises(UserError, match=r"stage set-2 needs round-2, which is not done \(new\)"):
        only("set-2")
    capfd.readouterr()
    for name in order[order.index("round-2") :]:
        only(name)
    shown = capfd.readouterr().out
    for name in SKIPPED:
        assert f"{name}: skipped, as round-2 says stop (no gain" in shown
    assert bench.ran() == [name for name in order if name not in SKIPPED]
    only("report")
    assert "report: done before, unchanged" in capfd.readouterr().out


def test_each_seed_has_its_own_checks(bench, capfd):
    """One seed's rounds end, and the other's go on."""
    bench.config = dataclasses.replace(CONFIG, seeds=2)
    stages = {stage.name: stage for stage in bench.stages()}
    assert stages["round-2.seed12"].after == ("world.seed12", "paths-2.seed12", "round-1.seed12")
    assert stages["set-2.seed12"].unless == ("round-2.seed12",)
    for name in ("round-1", "round-2"):
        (bench.workdir / f"says-{name}.seed12.json").write_text((bench.workdir / f"says-{name}.json").read_text())
    bench.says(2, stop=True)
    bench.run()
    assert [name for name, what in bench.what().items() if what == "skipped"] == SKIPPED
    assert "eval-2.seed12" in bench.ran()
    assert capfd.readouterr().out.count("skipped") == 1


def test_what_is_skipped_is_not_submitted(bench, monkeypatch):
    monkeypatch.chdir(root())
    made_stages = bench.stages()
    monkeypatch.setattr(recipe, "stages", lambda *_: made_stages)
    arguments = ["--config=configs/rounds.py"]
    jobs = {job.name: job for job in slurm.plan(CONFIG, bench.workdir, arguments, redo=False)}
    assert jobs["set-2"].needs == ("world", "paths-1", "paths-2", "round-2")
    assert jobs["round-2"].script[0] == "launch/slurm/report.sbatch"
    bench.says(2, stop=True)
    run_stages(made_stages, bench.workdir, redo=False, command="", described={})
    assert slurm.plan(CONFIG, bench.workdir, arguments, redo=False) == []
    (bench.workdir / "report" / RECORD).unlink()
    [job] = slurm.plan(CONFIG, bench.workdir, arguments, redo=False)
    assert (job.name, job.needs) == ("report", ())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"round-1": {"paths": "path-1"}}, "round-1 needs 'path-1', which is not an earlier SampleStage"),
        ({"round-2": {"previous": "paths-1"}}, "round-2 needs 'paths-1', which is not an earlier RoundStage"),
        ({"round-1": {"previous": "round-2"}}, "round-1 needs 'round-2', which is not an earlier RoundStage"),
        ({"set-1": {"unless": ("paths-1",)}}, "set-1 needs 'paths-1', which is not an earlier RoundStage"),
        (
            {"paths-2": {"settings": ("k=8",)}},
            r"round-2 compares paths-2 \(k = 8\) with paths-1 \(k = 4\): sample all rounds alike",
        ),
        (
            {"paths-2": {"settings": ("temperature=0.4",)}},
            r"round-2 compares paths-2 \(temperature = 0.4\) with paths-1 \(temperature = 0.9\)",
        ),
        ({"paths-1": {"settings": ("budget=distinct=2",)}}, "round-1: paths-1 has budget=distinct=2, and a round"),
        ({"round-2": {"paths": "eval-1"}}, "round-2 checks eval-1, which samples nothing: its k is 0"),
        (
            {"round-2": {"paths": "eval-1"}, "eval-1": {"settings": ("k=4", "temperature=0.9")}},
            r"round-2 compares eval-1 \(problems = world/test.jsonl\) with paths-1 \(problems = world/train.jsonl\)",
        ),
        (
            {"round-2": {"paths": "eval-1", "previous": None}, "eval-1": {"settings": ("k=4",)}},
            "set-2 would stop by round-2, which is on the test problems: check rounds on others",
        ),
    ],
)
def test_mistakes_are_told_before_anything_runs(tmp_path, changed, told):
    stages = tuple(dataclasses.replace(each, **changed.get(each.name, {})) for each in STAGES)
    with pytest.raises(UserError, match=told):
        recipe.stages(dataclasses.replace(CONFIG, stages=stages), tmp_path)


def test_the_plan_says_what_is_skipped(bench, monkeypatch):
    bench.says(2, stop=True)
    write_problems(bench.workdir / "says-world.json", made.problem_set(4))
    bench.run()
    made_stages = bench.stages()
    monkeypatch.setattr(recipe, "stages", lambda *_: made_stages)
    shown = plan(CONFIG, bench.workdir, hardware="cpu", chips=2)
    assert "model-2: skipped (round-2 says stop (no gain: " in shown
    assert "remaining in total: 0 samples" in shown


@pytest.mark.parametrize(
    ("argument", "united", "stops"),
    [("0", 3, True), ("0:all:3", 3, True), ("4:own", 1, True), ("0:collapse", 1, False)],
)
def test_the_config(tmp_path, argument, united, stops):
    made_config = load(f"{root()}/configs/rounds.py:{argument}", PipelineConfig)
    stages = {stage.name: stage for stage in made_config.stages}
    assert len(stages["select-3"].paths) == united
    assert stages["select-3"].unless == (("round-3",) if stops else ())
    assert len(stages) == 3 + 5 * (3 if argument.endswith(":3") else 4)
    shown = plan(made_config, tmp_path, hardware="cpu", chips=2)
    assert "round-3: new\n    python launch/check_round.py --task=gsm8k" in shown
    assert "--config.logprobs=True" in shown


@pytest.mark.parametrize("argument", ["x", "0:both", "0:own:0", "0:own:4:5", "-1", "0:"])
def test_odd_arguments_of_the_config(argument):
    with pytest.raises(UserError, match=r"configs/rounds.py takes SEED"):
        load(f"{root()}/configs/rounds.py:{argument}", PipelineConfig)
