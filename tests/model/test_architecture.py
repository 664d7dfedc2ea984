"""The published sizes, against the numbers of parameters their model cards state."""

import dataclasses

import pytest

from rft_jax.errors import UserError
from rft_jax.model import architecture

# Exact counts of the published checkpoints' tensors.
PUBLISHED = {
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-33b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3.1-8b": 8_030_261_248,
    "llama3.2-1b": 1_235_814_400,
    "llama3.2-3b": 3_212_749_824,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "mistral-7b-v0.1": 7_241_732_096,
    "mistral-7b-v0.3": 7_248_023_552,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-math-1.5b": 1_543_714_304,
    "qwen2.5-math-7b": 7_615_616_512,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    assert architecture.size(name).parameters == PUBLISHED[name]


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown model size 'llama2-7B' \(did you mean 'llama2-7b'\?\); known"):
        architecture.size("llama2-7B")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_heads": 3}, "4 query heads cannot share 3 key-value heads"),
        ({"head_width": 7}, "head width 7 is odd"),
        ({"layers": 0}, "layers of at least 1, got 0"),
        ({"window": 0}, "a window of 0 tokens is too small"),
    ],
)
def test_impossible_numbers_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(architecture.size("tiny"), **changes)
