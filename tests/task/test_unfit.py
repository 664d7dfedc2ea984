"""Which cut paths had begun another question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.records.lines import has_lone_surrogate
from rft_jax.records.path import Path
from rft_jax.task.unfit import has_run_on, unfit

GOLD, BOXED_GOLD = "<<6*7=42>>42\n#### 42", r"It is $\boxed{42}$."

RUN_ON = [
    "6*7 = 42\n#### 42\n\nQuestion: How many?",
    "6*7 = 42\n#### 42\nNatalia sold",
    "#### 42\n\n\n  x",
    "#### 42\n\n### Instruction:\nHow",
    "#### 42 ### Instruction: more",
    "#### 42\n#### 42",
    "Question: x\n\nQuestion: y #### 42",
    "#### 42\n\n\u00a0Next",
]
CUT_BEHIND = [
    "#### 42",
    "#### 42\n",
    "#### 42 \n\n \t\n",
    "so\n#### 42 dollars a we",
    "#### 42\u2003\n",
    "no answer yet and",
]
RUN_ON_BOXED = [
    "It is $\\boxed{42}$.\nNow another problem",
    "\\boxed{\\frac{1}{2}}\n\nQuestion: x",
    "#### Step 1: think\n\\boxed{42}\n#### Step 1: of the next",
    "\\boxed{1}\n\\boxed{42}\nso",
]
CUT_BEHIND_BOXED = [
    "#### Step 1: think\nThen\n#### Step 2\nIt is $\\boxed{42}$",
    "It is $\\boxed{42}$, as wanted.\n",
    "\\boxed{4\n2",
    "\\boxed{\\begin{pmatrix} 1 \\\\\n 2 \\end{pmatrix}}",
]


@pytest.mark.parametrize(
    ("response", "gold", "expected"),
    [
        *((text, GOLD, True) for text in RUN_ON),
        *((text, GOLD, False) for text in CUT_BEHIND),
        *((text, BOXED_GOLD, True) for text in RUN_ON_BOXED),
        *((text, BOXED_GOLD, False) for text in CUT_BEHIND_BOXED),
        ("It is \\boxed{42}\nNow", GOLD, True),  # the other mark, where that of the gold one is not there
        ("#### 42\nNow", BOXED_GOLD, True),
        ("#### 42\nNow", "42", True),
    ],
)
def test_what_follows_the_final_answer(response, gold, expected):
    assert has_run_on(response, gold) is expected
    assert unfit(Path(0, 0, "m", response, 9, "length"), gold) == ("run_on" if expected else None)
    for finish in ("eos", None):
        assert unfit(Path(0, 0, "m", response, 9, finish), gold) is None


def test_a_stop_text_of_the_template_begins_a_question_too():
    path = Path(0, 0, "m", "42\n[NEXT] #### 42", 9, "length")
    assert unfit(path, GOLD) is None
    assert unfit(path, GOLD, stops=("[NEXT]",)) == "run_on"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_not_text_is_what_cannot_be_encoded(text):
    try:
        text.encode()
        expected = True
    except UnicodeEncodeError:
        expected = False
    assert has_lone_surrogate(text) is not expected
    assert (unfit(Path(0, 0, "m", text), GOLD) == "not_text") is not expected


@given(st.text(alphabet="#\\boxed{} 42\nQ", max_size=60), st.sampled_from([GOLD, BOXED_GOLD, "42", ""]))
def test_a_path_that_ends_with_its_first_line_of_answer_is_fit(text, gold):
    line = f"{text.replace(chr(10), ' ')}"
    assert not has_run_on(line, gold)


@pytest.mark.parametrize(
    "text", ["{" * 10**6, "\\boxed{" * 10**5, "####" * 10**5, "\n" * 10**6, "\\boxed{" + "{}" * 10**6]
)
def test_a_megabyte_comes_to_an_end(text):
    has_run_on(text, GOLD)
    has_run_on(text, BOXED_GOLD)
