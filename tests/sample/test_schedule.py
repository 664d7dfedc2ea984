"""The schedule on a model of the device: every sample comes once and whole, whatever the lengths."""

import dataclasses

import numpy as np
import pytest

from rft_jax.errors import UserError
from rft_jax.sample import capacity
from rft_jax.sample.engine import responses
from rft_jax.sample.job import Job
from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.schedule import Schedule
from tests.sample.device_model import DeviceModel

SIZES = CacheSizes(
    rows=12, slots=5, seats=4, samples=40, prompt_pages=20, history_pages=60, prompt_width=32, response_width=40,
    page_size=8,
)  # fmt: skip
SKIPPED = 3


def prompt_of(problem):
    return np.arange(problem, problem + 1 + (problem * 5) % 30, dtype=np.int32)


def length(problem, sample):
    return 1 + (7 * problem + 13 * sample) % 60


def mixed(problem, sample, count, device):
    return count >= length(problem, sample)


def jobs(problems, samples):
    return [Job(problem, prompt_of(problem), tuple(range(samples))) for problem in range(problems)]


def run(work, devices=1, sizes=SIZES, ends=mixed, steps=None, text_stop=None):
    steps = steps or sizes.page_size // 2
    schedule = Schedule(sizes, devices=devices, skipped=SKIPPED, steps=steps, text_stop=text_stop)
    device = DeviceModel(sizes, devices, ends, prompt_of, SKIPPED, steps)
    done = {}
    for response in responses(device, schedule, iter(work)):
        assert (response.problem, response.sample) not in done
        done[response.problem, response.sample] = response
    assert not schedule.busy
    assert not list(schedule.begun())
    assert not device.oldest_gave_way
    return schedule, device, done


def assert_whole(done):
    for (problem, sample), response in done.items():
        expected = length(problem, sample)
        assert response.tokens.tolist() == [1000 * problem + sample] * min(expected, 40)
        assert response.ended == (expected <= 40)


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("samples", [1, 3, 20])
@pytest.mark.parametrize("pages", [60, 11])
def test_every_sample_comes_once_and_whole(devices, samples, pages):
    _, _, done = run(jobs(24, samples), devices, dataclasses.replace(SIZES, history_pages=pages))
    assert len(done) == 24 * samples
    assert_whole(done)


def test_a_page_of_several_calls():
    _, _, done = run(jobs(24, 3), sizes=dataclasses.replace(SIZES, history_pages=11), steps=2)
    assert len(done) == 72
    assert_whole(done)


def test_rows_stay_full():
    """Only the beginning and the end of a run leave rows idle."""
    schedule, _, _ = run(jobs(60, 40))
    assert schedule.occupancy > 0.95


def test_rows_stay_full_with_one_sample_a_problem():
    sizes = dataclasses.replace(SIZES, slots=18, seats=1, samples=1, prompt_pages=80)
    schedule, _, _ = run(jobs(600, 1), sizes=sizes)
    assert schedule.occupancy > 0.95


def test_rows_stay_full_beside_a_few_long_samples():
    """Each of which holds the slot of a job that is over but for it."""
    problems, samples, limit = 60, 50, 512
    random = np.random.default_rng(0)
    lengths = np.where(random.random((problems, samples)) < 0.02, limit, random.geometric(1 / 36, (problems, samples)))
    expected = capacity.Lengths(np.full(problems, 30), np.full(problems, 128.0), limit)
    sizes = capacity.cache_sizes(64, expected, samples)
    schedule = Schedule(sizes, devices=1, skipped=SKIPPED)
    device = DeviceModel(
        sizes, 1, lambda problem, sample, count, _: count >= lengths[problem, sample], prompt_of, SKIPPED
    )
    for number, _ in enumerate(responses(device, schedule, iter(jobs(problems, samples)))):
        if number == 2000:  # the end of a run leaves rows idle
            break
    assert schedule.occupancy > 0.9


def test_many_prompts_are_read_together():
    _, device, _ = run(jobs(80, 2))
    assert device.prefills < 80


def test_samples_with_holes():
    work = [Job(3, prompt_of(3), (1, 5, 6)), Job(9, prompt_of(9), (0,))]
    _, _, done = run(work)
    assert set(done) == {(3, 1), (3, 5), (3, 6), (9, 0)}


def test_a_long_prompt_waits_for_pages():
    _, _, done = run(jobs(20, 4), sizes=dataclasses.replace(SIZES, prompt_pages=9))
    assert len(done) == 80


def test_a_sample_goes_on_from_the_tokens_it_has():
    begun = np.full(9, 3002, np.int32)
    work = [Job(3, prompt_of(3), (2,), begun), *jobs(3, 4)]
    schedule, _, done = run(work)
    assert len(done) == 13
    assert_whole(done)
    assert schedule.read_again == 9


def test_no_work_needs_no_device():
    assert run([])[2] == {}


def test_a_stop_text_ends_a_sample_within_a_call():
    """Samples of even problems have their stop text after 10 tokens, and would go on to the limit."""

    def found(samples, new):
        assert all(0 < count <= SIZES.page_size for count in new)
        return np.array([10 * (tokens[0] // 1000 % 2 == 0 and len(tokens) >= 10) for tokens in samples], int)

    _, device, done = run(
        jobs(10, 6), ends=lambda problem, sample, count, device: problem % 2 and count >= 20, text_stop=found
    )
    assert len(done) == 60
    for (problem, _), response in done.items():
        assert len(response.tokens) == (20 if problem % 2 else 10)
        assert response.ended == bool(problem % 2)
    # It has run to the end of the call that wrote the text, and through the one that ran meanwhile.
    assert len(device.stopped) == 30
    assert max(device.stopped) < 10 + 2 * SIZES.page_size


class Worst:
    """Lengths chosen to fill the pool: samples end at once while there is room, and go to the limit when there is not.

    It knows the device's pages: as long as less than half of the pool is in use all are short, so that many are let in;
    then no sample ends before the limit.
    """

    def __init__(self):
        self.cruel = False

    def __call__(self, problem, sample, count, device):
        used = device.in_use[-1] if device.in_use else 0
        self.cruel = used > 0.5 or (self.cruel and used > 0.1)
        return not self.cruel and count >= 2


@pytest.mark.parametrize("rows", [12, 40])
def test_it_ends_whatever_the_lengths(rows):
    sizes = dataclasses.replace(SIZES, rows=rows, slots=10, prompt_pages=60, history_pages=12, response_width=80)
    _, _, done = run(jobs(30, 8), sizes=sizes, ends=Worst())
    assert len(done) == 240
    assert all(np.all(done[key].tokens == 1000 * key[0] + key[1]) for key in done)


def lengths_of(kind, random, count, limit):
    if kind == "gold":
        drawn = limit / 4 * np.exp(0.4 * random.standard_normal(count))
    elif kind == "twice":
        drawn = limit / 2 * np.exp(0.4 * random.standard_normal(count))
    elif kind == "limit":
        drawn = np.full(count, limit + 1)
    elif kind == "tail":
        drawn = np.where(random.random(count) < 0.02, limit, random.geometric(8 / limit, count))
    else:
        drawn = np.full(count, limit // 3)
    return np.clip(drawn, 1, limit).astype(int)


@pytest.mark.parametrize("kind", ["gold", "twice", "limit", "tail", "equal"])
def test_little_is_done_twice_where_pages_are_short(kind):
    """The pool has room for a third of what the rows can need."""
    problems, samples, limit = 30, 16, 160
    lengths = lengths_of(kind, np.random.default_rng(0), problems * samples, limit).reshape(problems, samples)
    sizes = dataclasses.replace(
        SIZES, rows=30, slots=8, seats=8, prompt_pages=80, history_pages=200, response_width=limit
    )
    schedule, _, done = run(
        jobs(problems, samples), sizes=sizes, ends=lambda problem, sample, count, _: count >= lengths[problem, sample]
    )
    for (problem, sample), response in done.items():
        assert len(response.tokens) == lengths[problem, sample]
    assert schedule.read_again < 0.02 * lengths.sum()


@pytest.mark.parametrize("sample", [0, 5, 1], ids=["it ends with the token", "within the call", "later"])
def test_nothing_is_kept_of_a_sample_that_is_not_finite(sample):
    """Its token means nothing: neither a response nor a journal may have it."""

    class Broken(DeviceModel):
        def _device(self, *orders):
            token, samples, slot, finish, finite = super()._device(*orders)
            return token, samples, slot, finish, finite & ~((token == sample) & (samples == sample))  # of problem 0

    schedule = Schedule(SIZES, devices=1, skipped=SKIPPED, steps=4)
    device = Broken(SIZES, 1, mixed, prompt_of, SKIPPED)
    done = set()
    with pytest.raises(UserError, match=f"problem 0, sample {sample}, token 1: .* not finite"):
        for response in responses(device, schedule, iter(jobs(3, 6))):
            done.add((response.problem, response.sample))
    begun = {(problem, number) for problem, number, _ in schedule.begun()}
    assert begun
    assert (0, sample) not in done | begun


def test_tokens_of_an_earlier_run_are_not_made_by_this_one():
    begun = np.full(30, 3002, np.int32)
    schedule, _, done = run([Job(3, prompt_of(3), (2,), begun)])
    assert schedule.made == len(done[3, 2].tokens) - 30
    assert schedule.occupancy <= 1
