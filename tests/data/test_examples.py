"""Tokenisation: joint, masked, cut at the right, and told about."""

import numpy as np
import pytest

from rft_jax.data import examples
from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.task import prompt

BEGIN, END = 1, 2
PROBLEMS = [Problem("How many?", "Two.\n#### 2"), Problem("And why?", "Because one and one.\n#### 2")]


def characters(texts: list[str]) -> list[list[int]]:
    return [[ord(character) for character in text] for text in texts]


def merging(texts: list[str]) -> list[list[int]]:
    """Joins the colon before a response with its first letter, as real tokenizers do with some pairs."""
    return [[ord(character) for character in text.replace(":T", "\0").replace(":B", "\1")] for text in texts]


def tokenise(encode=characters, max_length=1000, problems=PROBLEMS, begin=BEGIN):
    return examples.tokenise(problems, encode, begin=begin, end=END, max_length=max_length)


def test_an_example_is_begin_prompt_response_end():
    known = tokenise()
    for number, problem in enumerate(PROBLEMS):
        before = prompt.sampling_prompt(problem.question)
        assert known[number].tolist() == [BEGIN, *map(ord, before + problem.response), END]
        assert known.prompts[number] == 1 + len(before)
        assert known.responses[number] == len(problem.response) + 1  # the loss is on the end token too


def test_prompt_and_response_are_tokenised_as_one_text():
    known = tokenise(merging)
    assert 0 in known[0]
    assert 1 in known[1][1:]
    # As in the reference, the mask has the length of the prompt alone.
    assert known.prompts.tolist() == tokenise().prompts.tolist()


def test_without_a_begin_token():
    assert tokenise(begin=None)[0][0] == ord("B")


def test_cut_at_the_right_and_counted():
    whole = tokenise()
    limit = int(whole.lengths.max()) - 3
    known = tokenise(max_length=limit)
    assert known.lengths.tolist() == [min(length, limit) for length in whole.lengths]
    assert (known.cut, known.emptied) == (1, 0)
    assert known[1].tolist() == whole[1][:limit].tolist()
    short = tokenise(max_length=int(whole.prompts[1]), problems=[PROBLEMS[1], Problem("", "4")])
    assert (short.cut, short.emptied) == (1, 1)
    assert short.responses.tolist() == [0, 2]


def test_all_responses_cut_away_is_refused():
    with pytest.raises(UserError, match=r"max_length 50 no example has any of its response left.*shortest prompt"):
        tokenise(max_length=50)


def test_an_empty_response_is_refused_with_its_line():
    with pytest.raises(UserError, match="line 3 of the training data has an empty response"):
        tokenise(problems=[*PROBLEMS, Problem("What?", "  \n")])


def test_the_fingerprint_is_of_tokens_and_mask():
    known = tokenise()
    assert known.fingerprint == tokenise().fingerprint
    assert known.fingerprint != tokenise(begin=3).fingerprint
    assert known.fingerprint != tokenise(problems=PROBLEMS[::-1]).fingerprint
    moved = examples.Examples(known.tokens, known.starts, known.prompts + 1, 0, 0)
    assert known.fingerprint != moved.fingerprint


def test_describe_shows_the_mask():
    told = examples.describe(tokenise(), lambda tokens: "".join(map(chr, np.asarray(tokens))))
    assert "### Response:'\n" in told
    assert repr("Two.\n#### 2" + chr(END)) in told
