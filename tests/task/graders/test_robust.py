"""The robust grader: which text of a response is its answer, and that no text hurts."""

import random
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.graders import reference
from rft_jax.task.graders.robust import GRADER
from tests.shared_data import read_jsonl, shared
from tests.task.number.cases import CASES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The last line with a number counts, up to its end.
        ("#### 5\n#### 7", 7),
        ("#### 5\n#### six\n#### 7\n#### eight", 7),
        ("#### 18\n#### 5:30", 18),
        ("#### 18 #### 20", 20),
        ("#### 18 ####", 18),
        ("#### 18\nThat makes 3 more than 15.", 18),
        ("#### 18\r\n", 18),
        ("#### 18\u2028next 5", 18),
        ("#### 18\0next 5", 18),
        ("####18", 18),
        ("##### 18", 18),
        ("####\n\n18\n", 18),
        ("####\nTherefore\n18", None),
        ("#### $18", 18),
        ("#### 5:30", None),
        ("#### six, and \\boxed{5}\n####", None),
        ("The answer is 5.\n####", None),
        # Without any ####: the last box,
        ("so \\boxed{5}, or rather \\boxed{\\frac{1}{2}}.", Fraction(1, 2)),
        ("so $\\boxed{18}$, the answer is 5", 18),
        ("\\boxed{5} \\boxed{x}", None),
        ("\\boxed{5} \\boxed{18", None),
        # a text that is just a number,
        ("72", 72),
        (" $1,200.50\n", Fraction(2401, 2)),
        ("18 apples", 18),
        ("Answer: 18", 18),
        ("5:30", None),
        ("Tom has 18 apples left", None),
        ("Tom has 5.\n18", None),
        # or a last sentence that says so.
        ("3 * 6 = 18.\nThe answer is 18.", 18),
        ("So 3 * 6 = 18, and the final answer is: **$18**.", 18),
        ("The answer is 3 * 6.", None),
        ("The answer is 18.\nBut 5 of them left.", None),
        ("The answer is " + "x" * 10**6, None),
        ("", None),
        ("### 18 so we get a new total", None),
    ],
)
def test_where_the_answer_stands(text: str, value: Fraction | int | None) -> None:
    assert GRADER.parse(text) == value


def test_cases_of_numbers_stand_behind_the_mark() -> None:
    for rows in CASES.values():
        for text, value in rows.items():
            if "\t" not in text:  # one at the beginning of a text is no column
                assert GRADER.parse(f"so\n#### {text}\n") == (None if value is None else Fraction(value)), text


def test_shared_cases() -> None:
    for row in read_jsonl(shared("cases/final_numbers.jsonl")):
        value = row["value"]
        assert GRADER.parse(row["response"]) == (None if value is None else Fraction(value)), row


@given(st.integers(-(10**9), 10**9), st.sampled_from(["", ".", "\n", " apples", "%"]))
def test_what_gsm8k_writes_is_read_as_the_reference_does(number, behind) -> None:
    text = f"He has <<1+1=2>>2.\n#### {number:,}{behind}"
    assert GRADER.parse(text) == float(reference.GRADER.parse(text)) == number


@pytest.mark.parametrize("name", ["gsm8k/train.jsonl", "gsm8k/test.jsonl"])
def test_every_gold_answer_is_read_as_the_reference_does(name) -> None:
    for row in read_jsonl(shared(f"data/{name}")):
        assert GRADER.parse(row["answer"]) == Fraction(reference.GRADER.parse(row["answer"]))


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("data/released_model/greedy_fp32.jsonl", {"": None, " 1/3": Fraction(1, 3), " 1:30": None}),
        ("golden/selector/paths.jsonl", {"": None, " 10+John's age": None}),
    ],
)
def test_what_models_wrote(name, others) -> None:
    for row in read_jsonl(shared(name)):
        _, mark, ending = row["response"].rpartition("####")
        plain = re.fullmatch(r" (-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?)\.?", ending)
        if plain is not None and mark:
            assert GRADER.parse(row["response"]) == Fraction(plain[1].replace(",", "")), ending
        else:
            assert GRADER.parse(row["response"]) == (others[ending] if mark else None), row["response"][-200:]


PIECES = [
    *"0123456789#.,'_ -+*/^=%$€()[]{}\\<>~:;!?\"\n\r\t\0",
    *"½²₂⁄－１٢٬٫−–—…×·√π°个万😀\ud800\udfff\u200b\u0301\u2028\ufeff",
    *["####", "#### ", "\\boxed{", "\\frac{1}{2}", "\\text{", "<<1+1=2>>", "**", "</s>", "the answer is ", "1,000"],
    *["10^", "e5", "million", " and ", "x", "apples", "1 1/2", "''", "=>"],
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_odd_texts_give_a_number_or_none(text) -> None:
    for whole in (text, "#### " + text):
        assert GRADER.parse(whole) is None or isinstance(GRADER.parse(whole), Fraction)


@pytest.mark.slow
def test_100_000_hostile_texts_give_a_number_or_none() -> None:
    dice = random.Random(0)
    for number in range(100_000):
        length = dice.choice([3, 10, 10, 30, 100]) if number % 100 else 1_000
        text = "".join(dice.choices(PIECES, k=length))
        value = GRADER.parse(dice.choice(["", "#### "]) + text)
        assert value is None or isinstance(value, Fraction)


@pytest.mark.parametrize(
    "piece", [*PIECES, "#### 1 2 ", "#### - ", "1 1 ", ",111", "\\boxed{1} {", "#### <a", "a" * 99]
)
@pytest.mark.parametrize("before", ["", "#### ", "#### 1", "\\boxed{", "The answer is 1"])
def test_long_repetitions_end(before, piece) -> None:
    GRADER.parse(before + piece * 3_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", [*PIECES, "#### 1 2 ", "#### - ", "1 1 ", ",111", "\\boxed{1} {", "#### <a", "a" * 99]
)
def test_megabytes_end(piece) -> None:
    GRADER.parse("#### 1" + piece * (10**6 // len(piece)))
