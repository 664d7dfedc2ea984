"""Problems survive a file, and a wrong line is told with its place."""

from pathlib import Path as File

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem, read_problems, write_problems
from tests.shared_data import shared

# Any text that JSON can carry, lone surrogates and NULs included.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_is_written_is_read(tmp_path_factory, suffix: str) -> None:
    file = tmp_path_factory.mktemp("x") / f"x.jsonl{suffix}"

    @given(st.lists(st.builds(Problem, texts, texts), min_size=1, max_size=5))
    def check(problems: list[Problem]) -> None:
        write_problems(file, problems)
        assert read_problems(file) == problems

    check()


def test_problems_in_both_formats(tmp_path: File) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"question": "q", "answer": "#### 1"}\r\n{"query": "Q", "response": "R", "more": 1}\n\n')
    assert read_problems(file) == [Problem("q", "#### 1"), Problem("Q", "R")]


def test_gsm8k_is_read() -> None:
    assert [len(read_problems(shared(f"data/gsm8k/{split}.jsonl"))) for split in ("train", "test")] == [7_473, 1_319]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no problem"),
        (b'{"question": "q", "answer": "a"}\n\n{"question": "q", "answer": "a"}\n', ":2: an empty line between"),
        (b'{"question": "q"}\n', ':1: the field "answer" is missing'),
        (b"{}\n", ':1: the field "question" is missing; the line has none'),
        (b'{"query": "q", "answer": "a"}\n', ':1: the field "response" is missing'),
        (b'{"question": ["q"], "answer": "a"}\n', ':1: "question" is ["q"], not a text'),
    ],
)
def test_wrong_problems(tmp_path: File, content: bytes, message: str) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_problems(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)
