"""The prompts, letter for letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.records.problem import Problem
from rft_jax.task.prompt import FEW_SHOT_STOP, choose_shots, few_shot_prompt, sampling_prompt, training_text


def test_the_template() -> None:
    assert sampling_prompt("How many?") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "How many?\n"
        "\n"
        "### Response:"
    )


@given(st.text(), st.text())
def test_a_training_row_is_prompt_and_response(question: str, response: str) -> None:
    text, length = training_text(question, response)
    assert (text[:length], text[length:]) == (sampling_prompt(question), response)


def test_few_shot_prompt() -> None:
    shots = [Problem("Q1", "A1\n#### 1"), Problem("Q2", "A2")]
    prompt = few_shot_prompt(shots, "Q3")
    assert prompt == "Question: Q1\nAnswer: A1\n#### 1\n\nQuestion: Q2\nAnswer: A2\n\nQuestion: Q3\nAnswer:"
    assert prompt.count(FEW_SHOT_STOP) == 2


def test_shots_depend_on_the_seed_only() -> None:
    problems = [Problem(str(number), "") for number in range(50)]
    assert choose_shots(problems, 8, seed=0) == choose_shots(problems, 8, seed=0)
    assert choose_shots(problems, 8, seed=0) != choose_shots(problems, 8, seed=1)
    assert len(set(choose_shots(problems, 50, seed=0))) == 50
    with pytest.raises(ValueError, match="51 examples"):
        choose_shots(problems, 51, seed=0)
