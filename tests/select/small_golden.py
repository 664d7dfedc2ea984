"""Problems and paths of our own for a golden test of the selector, varied as real outputs vary.

`python -m tests.select.small_golden` writes tests/select/small_golden.jsonl anew: 12 problems × 30 paths.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from rft_jax.records.lines import dump, write_lines
from tests.shared_data import read_jsonl

FILE = Path(__file__).with_name("small_golden.jsonl")
_PROBLEMS, _PATHS = 12, 30
_NAMES = ("Mia", "Tom", "Ada", "Ben")
_THINGS = ("apples", "boxes", "pens", "tickets")


def rows() -> Iterator[dict[str, object]]:
    """Yields the problems, then the paths, the same every time."""
    draw = random.Random(0)
    stories = []
    for _ in range(_PROBLEMS):
        name, thing = draw.choice(_NAMES), draw.choice(_THINGS)
        stories.append((name, thing, draw.randint(2, 60), draw.randint(2, 40), draw.randint(2, 30)))
    for name, thing, each, count, more in stories:
        question = f"{name} has {count} bags with {each} {thing} each and buys {more} more. How many {thing} in all?"
        steps = f"<<{each}*{count}={each * count}>>", f"<<{each * count}+{more}={each * count + more}>>"
        yield {"question": question, "answer": f"In bags {steps[0]}, in all {steps[1]}.\n#### {each * count + more:,}"}
    for number, story in enumerate(stories):
        texts: list[str] = []
        for sample in range(_PATHS):
            text = draw.choice(texts) if texts and draw.random() < 0.1 else _response(draw, *story)
            texts.append(text)
            yield {"problem": number, "sample": sample, "model": "own", "response": text}


def _response(draw: random.Random, name: str, thing: str, each: int, count: int, more: int) -> str:
    product, total = each * count, each * count + more

    def sides(left: int, sign: str, right: int) -> str:
        pair = draw.sample([left, right], 2) if draw.random() < 0.4 else [left, right]
        return draw.choice(["{}{}{}", "{} {} {}", " {}{} {}"]).format(pair[0], sign, pair[1])

    def equation(text: str, result: int) -> str:
        written = draw.choice([str(result)] * 6 + [f"{result:,}", f"{result}.0", str(result + 1), "x", f"{result}=1"])
        return draw.choice([f"<<{text}={written}>>"] * 12 + [f"<{text}={written}>", f"<<{text}={written}>", "", "<<>>"])

    lines = [
        draw.choice(["In the bags are ", f"{name} has ", "First: "]) + equation(sides(each, "*", count), product),
        draw.choice([f"With {more} more: ", "Then ", f"So many {thing}: "])
        + equation(sides(product, "+", more), total),
    ]
    if draw.random() < 0.3:
        # The parts one by one.
        lines.insert(1, f"Half of them is {equation(f'{product}/2', product // 2)}")
    if draw.random() < 0.2:
        lines.reverse()
    answer = draw.choice(
        [f"#### {total}"] * 8 + [f"#### {total:,}", f"#### {total}.0", f"#### {total + 1}", f"####{total}"]
    )
    ending = draw.choice(["", "", "", " ", f" {thing}", "\n", ".", "\0", f"\n#### {total + 5}"])
    return "\n".join([*lines, answer]) + ending


def read() -> tuple[list[dict[str, str]], list[dict[str, object]]]:
    """Returns the problems and the paths of the committed file."""
    found = read_jsonl(FILE)
    return [row for row in found if "question" in row], [row for row in found if "problem" in row]


if __name__ == "__main__":
    write_lines(FILE, map(dump, rows()))
