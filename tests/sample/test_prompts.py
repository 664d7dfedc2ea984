"""Prompts that are too long, and the tokens that all of them begin with."""

import numpy as np
import pytest

from configs import sample as configs_sample
from rft_jax.errors import UserError
from rft_jax.sample import prompts


def made(*lengths):
    return [np.arange(length, dtype=np.int32) for length in lengths]


def test_the_last_tokens_of_a_prompt_are_kept_as_the_reference_does():
    keep = configs_sample.get_config("paper").prompt_tokens
    assert keep == 256
    whole = made(10, 256, 257, 300)
    for before, after in zip(whole, prompts.fit(whole, keep=keep, max_new=256, positions=512), strict=True):
        assert after.tolist() == before[-256:].tolist()


def test_by_default_a_prompt_is_whole_or_refused():
    assert configs_sample.get_config().prompt_tokens is None
    whole = made(10, 300)
    kept = prompts.fit(whole, keep=None, max_new=100, positions=400)
    assert [ids.tolist() for ids in kept] == [ids.tolist() for ids in whole]
    with pytest.raises(UserError, match=r"problem 1 has 300 tokens .* set --config\.prompt_tokens=299"):
        prompts.fit(whole, keep=None, max_new=101, positions=400)


@pytest.mark.parametrize("size", configs_sample.SIZES)
def test_presets(size):
    for argument, top_k in ((size, None), (f"{size}:paper", 50)):
        config = configs_sample.get_config(argument)
        assert (config.k, config.temperature, config.top_k, config.max_new_tokens) == (100, 0.7, top_k, 256)


def test_a_common_beginning_is_split_off_if_it_is_long():
    common = np.arange(100, dtype=np.int32)
    whole = [np.concatenate([common, np.array(own, np.int32)]) for own in ([7], [8, 9])]
    found = prompts.split(whole)
    assert found.prefix.tolist() == common.tolist()
    assert [own.tolist() for own in found.own] == [[7], [8, 9]]
    assert found.longest == 2
