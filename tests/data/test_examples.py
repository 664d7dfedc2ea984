"""Examples: prompt, response and end token; masked, refused or cut when too long, and told about."""

import dataclasses

import numpy as np
import pytest

from rft_jax.data import examples
from rft_jax.data.encode import Encoder
from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.task.templates.chat import Chat
from rft_jax.task.templates.paper import Paper, instruction
from tests.data.byte_tokenizers import BEGIN, END, byte_tokenizer

PROBLEMS = [Problem("How many?", "Two.\n#### 2"), Problem("And why?", "Because one and one.\n#### 2")]
BYTES = byte_tokenizer()
MERGING = byte_tokenizer([(":", "T"), (":", "B")])  # the colon before a response with its first letter


def tokenise(tokenizer=BYTES, max_length=1000, problems=PROBLEMS, begin=(BEGIN,), joint=False):
    encoder = Encoder(tokenizer, Paper(), bos_tokens=begin, eos_token=END, vocabulary=len(tokenizer))
    return examples.tokenise(problems, encoder, "train.jsonl", joint=joint, max_length=max_length)


def ids(text, tokenizer=BYTES):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_an_example_is_begin_prompt_response_end():
    known = tokenise()
    for number, problem in enumerate(PROBLEMS):
        before = instruction(problem.question)
        assert known[number].tolist() == [BEGIN, *ids(before + problem.response), END]
        assert known.prompts[number] == 1 + len(before)
        assert known.responses[number] == len(problem.response) + 1  # the loss is on the end token too


def test_a_tokenizer_that_merges_across_the_border():
    exact, joint = tokenise(MERGING), tokenise(MERGING, joint=True)
    merged = ids(":T", MERGING)[0]
    assert merged not in exact[0]
    assert exact.tokens.tolist() == tokenise().tokens.tolist()
    assert exact.merged == 0
    # The reference's tokens; as there, the mask has the length of the prompt alone.
    assert joint[0].tolist() == [BEGIN, *ids(instruction(PROBLEMS[0].question) + PROBLEMS[0].response, MERGING), END]
    assert joint.prompts.tolist() == exact.prompts.tolist()
    assert joint.merged == 2


def test_without_a_begin_token():
    assert tokenise(begin=())[0][0] == ids("B")[0]


def test_too_long_a_row_is_refused_with_its_line_and_what_would_do():
    whole = tokenise()
    limit = int(whole.lengths.max()) - 3
    with pytest.raises(UserError, match=rf"train.jsonl:2: .*1 of 2 examples: --config.max_length={limit + 3} keeps"):
        tokenise(max_length=limit)


def test_joint_tokens_are_cut_at_the_right_and_counted():
    whole = tokenise()
    limit = int(whole.lengths.max()) - 3
    known = tokenise(max_length=limit, joint=True)
    assert known.lengths.tolist() == [min(length, limit) for length in whole.lengths]
    assert (known.cut, known.emptied) == (1, 0)
    assert known[1].tolist() == whole[1][:limit].tolist()
    short = tokenise(max_length=int(whole.prompts[1]), problems=[PROBLEMS[1], Problem("", "4")], joint=True)
    assert (short.cut, short.emptied) == (1, 1)
    assert short.responses.tolist() == [0, 2]


def test_all_responses_cut_away_is_refused():
    with pytest.raises(UserError, match=r"max_length 50 no example has any of its response left.*shortest prompt"):
        tokenise(max_length=50, joint=True)


def test_an_empty_response_is_refused_with_its_line():
    with pytest.raises(UserError, match=r"train.jsonl:3: the response is empty"):
        tokenise(problems=[*PROBLEMS, Problem("What?", "  \n")])


def test_several_turns_are_an_example_each():
    history = (("system", "Be brief."), ("user", "1+1?"), ("assistant", "2"), ("user", "2+2?"), ("assistant", "4"))
    problem = Problem("4+4?", "8", history, train_history=True)
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.role[0] + ':' + m.content + eos_token }}{% endfor %}" + (
        "{% if add_generation_prompt %}{{ 'a:' }}{% endif %}"
    )
    encoder = Encoder(tokenizer, Chat(), bos_tokens=(), eos_token=END, vocabulary=len(tokenizer))
    known = examples.tokenise([problem], encoder, "f", joint=False, max_length=1000)
    prompts, responses = zip(
        *(
            (tokenizer.decode(known[n][: known.prompts[n]]), tokenizer.decode(known[n][known.prompts[n] :]))
            for n in range(len(known))
        ),
        strict=True,
    )
    assert responses == ("2</s>", "4</s>", "8</s>")
    assert prompts == (
        "s:Be brief.</s>u:1+1?</s>a:",
        "s:Be brief.</s>u:1+1?</s>a:2</s>u:2+2?</s>a:",
        "s:Be brief.</s>u:1+1?</s>a:2</s>u:2+2?</s>a:4</s>u:4+4?</s>a:",
    )
    last = examples.tokenise(
        [dataclasses.replace(problem, train_history=False)], encoder, "f", joint=False, max_length=1000
    )
    assert last[0].tolist() == known[2].tolist()  # as a row of a selected set
    assert len(last) == 1
    with pytest.raises(UserError, match="f:1: the data have several turns"):
        tokenise_with_paper = Encoder(tokenizer, Paper(), bos_tokens=(), eos_token=END, vocabulary=len(tokenizer))
        examples.tokenise([problem], tokenise_with_paper, "f", joint=False, max_length=1000)


def test_the_fingerprint_is_of_tokens_and_mask():
    known = tokenise()
    assert known.fingerprint == tokenise().fingerprint
    assert known.fingerprint != tokenise(begin=(3,)).fingerprint
    assert known.fingerprint != tokenise(problems=PROBLEMS[::-1]).fingerprint
    assert known.fingerprint != dataclasses.replace(known, prompts=known.prompts + 1).fingerprint


def test_describe_shows_the_mask():
    told = examples.describe(tokenise(), lambda tokens: BYTES.decode(np.asarray(tokens)))
    assert "### Response:'\n" in told
    assert repr("Two.\n#### 2</s>") in told
