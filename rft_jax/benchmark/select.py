"""The selector beside the reference's algorithm, on the same generated paths in one run.

The peer is a plain version of the reference's procedure with its distance function (`editdistance`): read each line,
grade it, evaluate its equations, and for each correct path compute the distances of the kept and the new path to all
others, all from scratch. Unlike the reference, it evaluates equations with our parser instead of Python's `eval`, which
takes about as long. Peer and selector take turns, and processor time is compared, as it is the same on a busy machine.
Then the selector runs alone on all processors.
"""

import dataclasses
import os
import pathlib
import platform
import random
import re
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from rft_jax.errors import UserError
from rft_jax.records.lines import dump, read_objects, write_lines
from rft_jax.records.path import read_paths
from rft_jax.records.problem import read_problems
from rft_jax.select.selection import select
from rft_jax.task import arithmetic
from rft_jax.task.agreement import TOLERANCE
from rft_jax.task.equations import equation_list, find_equations

_PEER_PROBLEMS = 50
_ROUNDS = 7


@dataclasses.dataclass(frozen=True)
class Shape:
    """The paths of a run like the paper's.

    Attributes:
        models: number of models whose paths are united.
        samples: samples per problem and model.
        correct: share of correct samples.
        lists: equation lists per problem among the correct paths.
        repeated: share of correct paths that repeat an earlier text of the problem.
    """

    models: int
    samples: int
    correct: float
    lists: int
    repeated: float


ONE_MODEL = Shape(models=1, samples=100, correct=0.6, lists=5, repeated=0.1)
FIVE_MODELS = Shape(models=5, samples=100, correct=0.6, lists=14, repeated=0.1)


def run(problems: int, workers: int, folder: pathlib.Path | None = None) -> list[str]:
    """Measures, and returns the lines of the report.

    Args:
        problems: number of problems in the run on all processors; the paper's is 7,473.
        workers: number of processors.
        folder: parent of the folder for generated files; None: the system's folder for temporary files.

    Raises:
        UserError: the package `editdistance` is not installed.
    """
    try:
        from editdistance import eval as distance
    except ImportError:
        raise UserError("the peer needs the package editdistance: pip install 'rft-jax[dev]'") from None
    lines = [f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = pathlib.Path(name)
        for title, shape in (("one model", ONE_MODEL), ("five models", FIVE_MODELS)):
            lines.append(_side_by_side(title, shape, distance, work))
        lines.append(_full_size(problems, workers, work))
    return lines


def reference_selection(
    problems: pathlib.Path, paths: list[pathlib.Path], output: pathlib.Path, distance: Callable[[str, str], int]
) -> None:
    """Writes the reference's output, computed as the reference does."""
    questions = read_problems(problems)
    gold = [_answer(problem.response) for problem in questions]
    correct: list[list[str]] = [[] for _ in questions]
    for file in paths:
        for _, fields in read_objects(file):
            answer = _answer(fields["response"])
            if answer is not None and answer == gold[fields["problem"]]:
                correct[fields["problem"]].append(fields["response"])
    with output.open("wb") as stream:
        for problem, responses in zip(questions, correct, strict=True):
            stream.write(dump({"query": problem.question, "response": problem.response}))
            for response in _farthest(responses, distance):
                stream.write(dump({"query": problem.question, "response": response}))


def _answer(response: str) -> float | None:
    match = re.search(r"#### (-?[0-9.,]+)", response.partition("\0")[0])
    try:
        return None if match is None else float(match[1].replace(",", ""))
    except ValueError:
        return None


def _farthest(responses: list[str], distance: Callable[[str, str], int]) -> list[str]:
    lists: list[str] = []
    kept: list[str] = []
    for new in responses:
        equations = find_equations(new)
        if not all(map(_holds, equations)):
            continue
        name = equation_list(equations)
        if name not in lists:
            lists.append(name)
            kept.append(new)
            continue
        index = lists.index(name)
        old = kept[index]
        old_sum = sum([distance(old, other) for other in kept if other != old])
        new_sum = sum([distance(new, other) for other in kept if other != old])
        if new_sum > old_sum:
            kept[index] = new
    return kept


def _holds(equation: str) -> bool:
    """Evaluates the equation from scratch each time, as the reference does; any error means no."""
    left, *rest = equation.split("=")
    try:
        return bool(rest) and abs(float(arithmetic.evaluate(left)) - float(rest[0])) < TOLERANCE
    except (arithmetic.NoValueError, ValueError, OverflowError):
        return False


def generate(shape: Shape, problems: int, folder: pathlib.Path) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """Writes generated problems and one path file for each model into the folder, the same every time.

    What determines the run time is close to the outputs of five models on GSM8K, measured on 4,874 correct paths: their
    mean length is 240 characters (here 239) and varies by 17 % within a problem (14 %); the distance between two paths
    of a problem is 38 % of the longer text (44 %), or 24 % with the same equations (26 %), and with insertions and
    deletions only it is 17 % larger (31 %). So the generated paths are a little harder.
    """
    folder.mkdir(parents=True)
    problem_file = folder / "problems.jsonl"
    write_lines(problem_file, (_problem_line(number) for number in range(problems)))
    files = []
    for model in range(shape.models):
        file = folder / f"model-{model}.jsonl"
        write_lines(file, _path_lines(shape, problems, model))
        files.append(file)
    return problem_file, files


_WORDS: Sequence[str] = """
    apples boxes there are in total left she has he buys each then so the number of a day week cost dollars more than
    which means after that gives half them altogether friends price will need before sold they together remaining hours
""".split()  # noqa: SIM905  # a list with so many quotes is unreadable


def _problem_line(number: int) -> bytes:
    return dump(
        {"question": f"Question {number}: how many are there?", "answer": f"<<{number}*2={number * 2}>>\n#### 42"}
    )


def _path_lines(shape: Shape, problems: int, model: int) -> Iterator[bytes]:
    for number in range(problems):
        of_problem = random.Random(number)  # shared by the models, which find the same equation lists in similar words
        phrases = [of_problem.choices(_WORDS, k=of_problem.randint(3, 14)) for _ in range(6)]
        solutions = [_solution(of_problem, phrases) for _ in range(shape.lists)]
        draw = random.Random(f"{number} {model}")
        texts: list[str] = []
        for sample in range(shape.samples):
            if draw.random() >= shape.correct:
                response = _text(draw, draw.choice(solutions)) + "\n#### 41"
            elif texts and draw.random() < shape.repeated:
                response = draw.choice(texts)
            else:
                # A few lists are frequent and most are rare.
                index = min(int(draw.expovariate(1) * shape.lists / 4), shape.lists - 1)
                response = _text(draw, solutions[index]) + "\n#### 42"
                texts.append(response)
            yield dump({"problem": number, "sample": sample, "model": f"model-{model}", "response": response})


def _solution(draw: random.Random, phrases: list[list[str]]) -> list[tuple[list[list[str]], str]]:
    """Returns the steps of a solution, each with some wordings and its equation."""
    steps = []
    for step in range(draw.choice([3, 3, 3, 4])):
        left, right = draw.randint(2, 60), draw.randint(2, 20)
        # Mostly the same words as other solutions at this step.
        usual = phrases[step] if draw.random() < 0.95 else draw.choice(phrases)
        equation = f"{left}*{right}=<<{left}*{right}={left * right}>>{left * right}"
        steps.append(([usual] * 5 + [draw.choice(phrases)], equation))
    return steps


def _text(draw: random.Random, solution: list[tuple[list[list[str]], str]]) -> str:
    lines = []
    for wordings, equation in solution:
        words = [word for word in draw.choice(wordings) if draw.random() > 0.06]
        for _ in range(draw.choice([0, 0, 1, 2])):
            words.insert(draw.randint(0, len(words)), draw.choice(_WORDS))
        lines.append(f"{' '.join(words)} {equation}")
    return "\n".join(lines)


def _side_by_side(title: str, shape: Shape, distance: Callable[[str, str], int], work: pathlib.Path) -> str:
    problems, paths = generate(shape, _PEER_PROBLEMS, work / title.replace(" ", "-"))
    theirs, ours = work / "theirs.jsonl", work / "ours.jsonl"
    times: dict[str, list[float]] = {"theirs": [], "ours": []}
    for _ in range(_ROUNDS):
        begin = time.process_time()
        reference_selection(problems, paths, theirs, distance)
        middle = time.process_time()
        _select(problems, paths, ours, workers=1, rules="reference")
        times["theirs"].append(middle - begin)
        times["ours"].append(time.process_time() - middle)
    if theirs.read_bytes() != ours.read_bytes():
        raise AssertionError("the two selections differ")
    count = sum(1 for file in paths for _ in read_paths(file))
    median = {side: statistics.median(values) for side, values in times.items()}
    rate = {side: f"{count / seconds:,.0f} samples/s" for side, seconds in median.items()}
    return (
        f"{title}, {count:,} samples, processor time, median of {_ROUNDS} alternating rounds: reference's algorithm "
        f"{median['theirs']:.2f} s ({rate['theirs']}), ours {median['ours']:.2f} s ({rate['ours']}): "
        f"{median['theirs'] / median['ours']:.1f} times as fast, identical output"
    )


def _full_size(problems: int, workers: int, work: pathlib.Path) -> str:
    problem_file, paths = generate(FIVE_MODELS, problems, work / "full-size")
    used = _processor_seconds()
    begin = time.perf_counter()
    result = _select(problem_file, paths, work / "united.jsonl", workers=workers, rules="paper")
    seconds = time.perf_counter() - begin
    used = _processor_seconds() - used
    samples = result["united"]["samples"]
    own, worker = (
        resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (
        f"five models, {problems:,} problems, {samples:,} samples, {workers} processes: {seconds:.0f} s "
        f"({samples / seconds:,.0f} samples/s), {used:.0f} s of processor time, machine load "
        f"{os.getloadavg()[0]:.1f}; peak memory {own:.2f} GiB in the main process, {worker:.2f} GiB in a worker; "
        f"{result['rows']['united.jsonl']['selected'] / problems:.2f} paths per problem"
    )


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _select(
    problems: pathlib.Path, paths: list[pathlib.Path], output: pathlib.Path, *, workers: int, rules: str
) -> dict:
    return select(
        str(problems),
        [str(path) for path in paths],
        str(output),
        rules=rules,
        grader="reference",
        ks=[],
        workers=workers,
    )
