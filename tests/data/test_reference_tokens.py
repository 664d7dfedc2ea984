"""Joint tokens beside those of the reference's procedure, by sentencepiece, with which it reads Llama's."""

import numpy as np
import pytest

from rft_jax.data import examples
from rft_jax.data.encode import Encoder
from rft_jax.records.problem import read_problems
from rft_jax.task.templates.paper import Paper, instruction
from tests import tokenizers
from tests.shared_data import shared

LIMIT = 512  # its model_max_length


def gsm8k():
    return read_problems(shared("data/gsm8k/train.jsonl"))


def tokenise(sample, problems, *, joint, begin, end, max_length=LIMIT):
    encoder = Encoder(sample.tokenizer, Paper(), bos_tokens=begin, eos_token=end, vocabulary=len(sample.tokenizer))
    return examples.tokenise(problems, encoder, "train.jsonl", joint=joint, max_length=max_length)


@pytest.mark.parametrize("rows", [300, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("begin", [1, 2])
def test_joint_tokens_and_their_mask_are_the_references(tmp_path, begin, rows):
    """Source and target as one text, `</s>` behind; a mask as long as the source's own tokens; cut at the right."""
    sentencepiece = pytest.importorskip("sentencepiece")
    sample = tokenizers.load("llama2-legacy", tmp_path)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(sample.folder / "tokenizer.model"))
    problems = gsm8k()[:rows]
    ours = tokenise(sample, problems, joint=True, begin=(begin,), end=2)
    cut = 0
    for number, problem in enumerate(problems):
        source = instruction(problem.question)
        whole = [begin, *theirs.encode(source + problem.response), 2]
        cut += len(whole) > LIMIT
        assert ours[number].tolist() == whole[:LIMIT]
        assert ours.prompts[number] == 1 + len(theirs.encode(source))
    assert ours.cut == cut
    if rows is None:
        assert (ours.cut, ours.emptied, ours.merged) == (11, 0, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "begin", "end", "rows"), [("llama2", 1, 2, 2), ("llama3", 128_000, 128_001, 1_819)])
def test_in_how_many_rows_a_token_spans_the_border(tmp_path, name, begin, end, rows):
    sample, problems = tokenizers.load(name, tmp_path), gsm8k()
    joint, exact = (
        tokenise(sample, problems, joint=joint, begin=(begin,), end=end, max_length=2048) for joint in (True, False)
    )
    unequal = [number for number in range(len(problems)) if not np.array_equal(joint[number], exact[number])]
    assert len(unequal) == joint.merged == rows


def test_no_question_has_a_line_break():
    """The reference would train on such a question with another prompt (`### Input:`) than it samples with."""
    for name in ("train", "test"):
        assert not any("\n" in problem.question for problem in read_problems(shared(f"data/gsm8k/{name}.jsonl")))
