"""A budget's work, shared: whatever the workers, their kills and the order of paths, the folder is as one worker's."""

import json
import random
from pathlib import Path as File

import numpy as np
import pytest

from rft_jax.budget import replay
from rft_jax.budget.ledger import read
from rft_jax.budget.outcome import Grading
from rft_jax.budget.parse import parse
from rft_jax.budget.policies import Uniform
from rft_jax.errors import UserError
from rft_jax.records import manifest
from rft_jax.records.path import Path, read_paths, write_paths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.sample.sharing.adaptive import Adaptive, Growing
from rft_jax.sample.sharing.claims import Claims
from rft_jax.sample.sharing.jobs import Jobs
from rft_jax.sample.sharing.ledger import DECISIONS, Ledger
from rft_jax.sample.sharing.share import JOURNAL_S, MOST_LOOK_S, Share

K = 12
PROBLEMS = [Problem(f"Question {number}?", f"#### {number}") for number in range(50)]
POLICIES = [
    "distinct=2",
    "correct=3",
    "proportional=4:first=3",
    "boundary",
    "boundary=8:first=2",
    "tokens=6000:first=2",
]


def path(problem: int, sample: int) -> Path:
    """Returns the same path each time: problems are never, sometimes or always solved, in one way or in many."""
    draw = random.Random(f"{problem} {sample}")
    answer = problem + (draw.random() >= (0, 0.1, 0.5, 1)[problem % 4])
    way = draw.randint(1, (1, 2, 9)[problem % 3])
    return Path(problem, sample, "m", f"<<{way}+1={way + 1}>>\n#### {answer}", draw.randint(5, 40), "eos")


def open_ledger(folder: File, budget: str, k: int = K) -> Ledger:
    policy = parse(budget, k, len(PROBLEMS))
    work = None
    if not isinstance(policy, Uniform):
        work = Adaptive(policy, Grading(PROBLEMS, "problems", "gsm8k"), len(PROBLEMS))
    settings = {"name": "m", manifest.FIELD: manifest.of_problems(PROBLEMS)}
    return Ledger(folder, settings, problems=len(PROBLEMS), k=k, adaptive=work)


class Worker:
    """Takes jobs as a sampler does, and finishes them in any order."""

    def __init__(self, folder: File, name: str, budget: str, dead: set[str], k: int = K) -> None:
        self.now, self.running = 0.0, []
        self.ledger = open_ledger(folder, budget, k)
        self.claims = Claims(
            folder / "claims", worker=name, needed=self.ledger.tiles.__contains__, gone=dead.__contains__
        )
        self.share = Share(self.ledger, self.claims, folder / "claims", clock=lambda: self.now)
        prompts = [np.array([1, number]) for number in range(len(PROBLEMS))]
        self.jobs = Jobs(self.share, prompts, most=4, agree=lambda find: find(), sleep=lambda seconds: None)

    def take(self, rows: int) -> None:
        """Takes jobs while there is room."""
        while len(self.running) < rows and (job := next(self.jobs, None)) is not None:
            self.running += [(job.problem, sample) for sample in job.samples]

    def finish(self, draw: random.Random) -> None:
        self.share.add(path(*self.running.pop(draw.randrange(len(self.running)))))

    def rest(self, seconds: float) -> None:
        self.now += seconds
        self.claims.beat()
        self.share.keep()


def run(folder: File, budget: str, *, seed: int, workers: int = 1, kills: int = 0, k: int = K) -> None:
    """Has workers finish a folder, some of them killed on the way and started again."""
    draw, dead, started = random.Random(seed), set(), 0
    alive: list[Worker] = []
    for _ in range(200_000):
        while len(alive) < workers:
            started += 1
            alive.append(Worker(folder, f"worker{started}", budget, dead, k))
        worker = draw.choice(alive)
        if kills and draw.random() < 0.01:
            kills -= 1
            alive.remove(worker)
            dead.add(worker.claims.worker)
            continue
        worker.take(draw.choice([1, 8, 200]))
        if worker.running:
            worker.finish(draw)
        elif worker.share.complete():
            break
        worker.rest(draw.choice([0, 0, 0, 0, JOURNAL_S / 20, MOST_LOOK_S]))
    else:
        raise AssertionError("the workers do not come to an end")
    for worker in alive:
        assert worker.share.complete()
        worker.claims.close()


def contents(folder: File) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name != manifest.NAME}


def sampled(folder: File) -> dict[tuple[int, int], Path]:
    found = [path for file in sorted(folder.glob("*.jsonl")) for path in read_paths(file)]
    assert len({(path.problem, path.sample) for path in found}) == len(found)
    return {(path.problem, path.sample): path for path in found}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory):
    """Returns how many samples of each problem a policy takes of the finished uniform run."""
    folder = tmp_path_factory.mktemp("uniform")
    write_problems(folder / "problems.jsonl", PROBLEMS)
    write_paths(folder / "a.jsonl", [path(problem, sample) for problem in range(len(PROBLEMS)) for sample in range(K)])
    found = read(str(folder / "problems.jsonl"), [f"{folder}/a.jsonl"], task="gsm8k")
    return lambda budget: replay.wanted(parse(budget, K, len(PROBLEMS)), found)


@pytest.mark.parametrize("budget", POLICIES)
def test_a_run_takes_what_its_replay_takes(tmp_path, replayed, budget):
    """From the uniform run, path by path; and the decisions say so."""
    run(tmp_path, budget, seed=0)
    wanted = replayed(budget)
    assert 0 < sum(wanted) < len(PROBLEMS) * K
    found = sampled(tmp_path)
    assert set(found) == {(problem, sample) for problem, samples in enumerate(wanted) for sample in range(samples)}
    assert all(found[number] == path(*number) for number in found)
    told = json.loads((tmp_path / DECISIONS).read_text())
    assert (told["policy"], told["k"], told["samples"]) == (parse(budget, K).text, K, wanted)
    assert not (tmp_path / "claims").exists()


@pytest.mark.parametrize("budget", POLICIES)
@pytest.mark.parametrize(("workers", "kills"), [(1, 6), (2, 0), (3, 9), (7, 4)])
def test_any_workers_and_kills_make_the_same_files(tmp_path, budget, workers, kills):
    run(tmp_path / "one", budget, seed=0)
    for seed in range(1, 3):
        run(tmp_path / str(seed), budget, seed=seed, workers=workers, kills=kills)
        assert contents(tmp_path / str(seed)) == contents(tmp_path / "one")


@pytest.mark.parametrize("budget", POLICIES)
def test_a_damaged_file_is_made_anew(tmp_path, budget):
    run(tmp_path, budget, seed=0)
    before = sampled(tmp_path)
    victim = random.Random(1).choice(sorted(tmp_path.glob("*.jsonl")))
    victim.write_bytes(victim.read_bytes()[:-10])
    run(tmp_path, budget, seed=1)
    assert sampled(tmp_path) == before


@pytest.mark.parametrize(
    "budgets",
    [("distinct=1", "distinct=2"), ("uniform=4", "correct=3"), ("correct=3", "tokens=6000:first=2", "uniform")],
    ids=str,
)
def test_another_budget_adds(tmp_path, replayed, budgets, caplog):
    """What is there stays, and counts for the next; the manifest names all of them."""
    caplog.set_level("INFO")
    most = [0] * len(PROBLEMS)
    for budget in budgets:
        before = {name: content for name, content in contents(tmp_path).items() if name != DECISIONS}
        k = 4 if budget == "uniform=4" else K
        run(tmp_path, budget, seed=3, workers=2, kills=2, k=k)
        assert before.items() <= contents(tmp_path).items()
        most = list(map(max, most, replayed(budget)))
        assert [sum(at == problem for at, _ in sampled(tmp_path)) for problem in range(len(PROBLEMS))] == most
    told = json.loads((tmp_path / manifest.NAME).read_text())[manifest.BUDGET]
    names = ["uniform" if budget.startswith("uniform") else budget for budget in budgets]
    assert [policy.split(" of ")[0] for policy in told["policies"]] == names
    assert told["always"] == {"distinct=1": 2, "uniform=4": 4, "correct=3": K}[budgets[0]]
    assert f"has paths of budget={told['policies'][0]}" in caplog.text


def test_a_folder_that_is_not_finished_promises_nothing(tmp_path):
    """Which problems have more so far depends on what was found."""
    open_ledger(tmp_path, "correct=3")
    assert json.loads((tmp_path / manifest.NAME).read_text())[manifest.BUDGET]["always"] == 0
    assert not (tmp_path / DECISIONS).exists()
    run(tmp_path, "correct=3", seed=0)
    assert json.loads((tmp_path / manifest.NAME).read_text())[manifest.BUDGET]["always"] == 3


def test_another_k_goes_on(tmp_path, replayed):
    run(tmp_path, "distinct=2", seed=0, k=5)
    assert max(sample for _, sample in sampled(tmp_path)) == 4
    run(tmp_path, "distinct=2", seed=0)
    wanted = replayed("distinct=2")
    assert set(sampled(tmp_path)) == {(problem, sample) for problem in range(50) for sample in range(wanted[problem])}


def test_what_is_written_decides(tmp_path):
    """Where two workers sample a path in different roundings, and one has decided by its own, the file decides."""
    run(tmp_path / "one", "correct=3", seed=0)
    stalled = Worker(tmp_path / "two", "stalled", "correct=3", set())
    stalled.take(1)
    for problem, sample in stalled.running:
        stalled.share.add(Path(problem, sample, "m", "#### -1", 5, "eos"))  # none of them is right
    stalled.running.clear()
    stalled.take(1)
    assert stalled.running  # asked for on top
    heir = Worker(tmp_path / "two", "heir", "correct=3", {"stalled"})
    while not heir.share.complete():
        heir.take(100)
        while heir.running:
            heir.finish(random.Random(0))
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    stalled.rest(MOST_LOOK_S)
    while stalled.running:
        stalled.finish(random.Random(0))
    assert stalled.share.complete()
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_rows_that_have_nothing_to_do_sample_ahead():
    """As many paths of a problem as have come of it, none of a decided one, each once, and none beyond k."""
    policy, grading = parse("correct=2", 10), Grading(PROBLEMS, "problems", "gsm8k")
    block = Growing(policy, grading, range(4, 7), [])
    assert block.start() == [(problem, sample) for problem in (4, 5, 6) for sample in (0, 1)]
    assert block.ahead(100) == []

    def put(problem: int, sample: int, right: bool) -> list[tuple[int, int]]:
        return block.put(Path(problem, sample, "m", f"#### {problem if right else -1}", 5, "eos"))

    assert put(4, 0, True) + put(4, 1, True) == []  # decided
    assert put(5, 0, False) == [(5, 2)]
    assert put(6, 0, False) + put(6, 1, False) == [(6, 2), (6, 3)]
    assert block.ahead(1) == [(5, 3)]
    assert block.ahead(100) == [(6, 4), (6, 5)]
    assert block.ahead(100) == []
    asked = [(5, sample) for sample in (1, 2)]
    while asked:
        asked += put(*asked.pop(0), False)
    assert block.ahead(100) == []  # all are asked for: never right, and k is 10


def test_what_was_sampled_ahead_is_taken_when_it_is_asked_for(tmp_path):
    one = Worker(tmp_path, "one", "correct=3", set())
    one.take(10_000)
    assert not one.share.claim()
    first = {number for number in one.running if number[1] < 3}
    asked_for, ahead = set(first), set()
    while one.running:
        one.finish(random.Random(1))
        before = set(one.running)
        one.take(10_000)
        new = set(one.running) - before
        assert not new & (asked_for | ahead)
        ahead |= {number for number in new if number not in one.share._tile_of}
        asked_for |= new - ahead
    assert ahead
    assert one.share.complete()
    run(tmp_path / "other", "correct=3", seed=0)
    assert sampled(tmp_path) == sampled(tmp_path / "other")


def test_a_manifest_of_a_version_to_come(tmp_path):
    open_ledger(tmp_path, "distinct=2")
    file = tmp_path / manifest.NAME
    file.write_text(json.dumps(json.loads(file.read_text()) | {manifest.BUDGET: {"by": "moon"}}))
    for budget in ("distinct=2", "uniform"):
        with pytest.raises(UserError, match=r'budget is \{"by": "moon"\}, not as this version writes it'):
            open_ledger(tmp_path, budget)


def test_gold_answers_are_needed():
    with pytest.raises(UserError, match="a budget by what is right needs gold answers"):
        Adaptive(parse("distinct=2", K), Grading([Problem("Why?", "because")], "problems", "gsm8k"), 1)


def test_files_of_a_budget_are_few(tmp_path):
    """One for each block of problems, of which each may have another number of samples."""
    run(tmp_path, "distinct=2", seed=0, workers=3)
    assert len([*tmp_path.glob("*.jsonl")]) == 4
