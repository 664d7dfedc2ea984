"""The schedule, on an engine that knows each sample's length and checks every order."""

import dataclasses

import numpy as np
import pytest

from rft_jax.sample.decode import ENDED, FULL, GOES_ON, NONE, Steps
from rft_jax.sample.engine import responses
from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.schedule import Job, Schedule

SIZES = CacheSizes(
    rows=12, slots=5, seats=4, prompt_pages=12, history_pages=60, prompt_width=32, response_width=40, page_size=8
)


class FakeEngine:
    """Rows whose samples have the length 1 + (7 · problem + 13 · sample) % 60, cut at 40; a token tells who made it."""

    def __init__(self, sizes, devices, lose=0.0):
        self.sizes, self.lose = sizes, lose
        self.random = np.random.default_rng(0)
        self.prompts = {}
        rows = sizes.rows * devices
        self.sample, self.count, self.problem = np.full(rows, NONE), np.zeros(rows, int), np.zeros(rows, int)
        self.prefills = 0

    def prefill(self, batch):
        self.prefills += 1
        devices = len(self.sample) // self.sizes.rows
        for device, part in enumerate(np.split(np.arange(len(batch.lengths)), devices)):
            for i in part:
                if batch.slots[i] == self.sizes.slots:
                    continue
                used = batch.pages[i][batch.pages[i] < self.sizes.prompt_pages]
                assert len(used) == -(-batch.lengths[i] // self.sizes.page_size)
                self.prompts[device, batch.slots[i]] = (batch.tokens[i, : batch.lengths[i]].tolist(), set(used))
        return

    def start(self, orders):
        return orders

    def wait(self, orders):
        shape = (self.sizes.page_size, len(self.sample))
        token, sample, finish = np.zeros(shape, np.int32), np.full(shape, NONE, np.int32), np.zeros(shape, np.int32)
        queued = orders.queued.copy()
        for now in range(self.sizes.page_size):
            for row in range(shape[1]):
                if self.sample[row] == NONE:
                    if queued[row] == NONE:
                        continue
                    self.sample[row], queued[row], self.count[row] = queued[row], NONE, 0
                    self.problem[row] = orders.problem[row]
                assert self.problem[row] == orders.problem[row]
                self.check_prompt(orders, row)
                self.count[row] += 1
                token[now, row] = 1000 * self.problem[row] + self.sample[row]
                sample[now, row] = self.sample[row]
                length = 1 + (7 * self.problem[row] + 13 * self.sample[row]) % 60
                ended, full = self.count[row] >= length, self.count[row] >= self.sizes.response_width
                finish[now, row] = ENDED if ended else FULL if full else GOES_ON
                if finish[now, row] != GOES_ON:
                    self.sample[row] = NONE
        lost = (self.random.random(shape[1]) < self.lose) & (self.sample != NONE)
        self.count[lost] = 0
        return Steps(token, sample, finish, lost)

    def check_prompt(self, orders, row):
        """The row sits where its problem's prompt lies, and the members say so too."""
        device, here = divmod(row, self.sizes.rows)
        slot, seat = divmod(int(orders.seat[row]), self.sizes.seats)
        assert orders.members[device * self.sizes.slots + slot, seat] == here
        tokens, _ = self.prompts[device, slot]
        assert [*tokens, orders.last_token[row]] == prompt_of(self.problem[row]).tolist()
        assert orders.prompt_length[row] == 3 + len(tokens)


def prompt_of(problem):
    return np.arange(problem, problem + 1 + (problem * 5) % 30, dtype=np.int32)


def jobs(problems, samples):
    return [Job(problem, prompt_of(problem), tuple(range(samples))) for problem in range(problems)]


def run(work, devices=1, lose=0.0, sizes=SIZES):
    schedule = Schedule(sizes, devices=devices, skipped=3)
    engine = FakeEngine(sizes, devices, lose)
    done = {}
    for response in responses(engine, schedule, iter(work)):
        assert (response.problem, response.sample) not in done
        done[response.problem, response.sample] = response
    assert not schedule.busy
    return schedule, engine, done


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("samples", [1, 3, 20])
@pytest.mark.parametrize("lose", [0.0, 0.05])
def test_every_sample_comes_once_and_whole(devices, samples, lose):
    _, _, done = run(jobs(40, samples), devices, lose)
    assert len(done) == 40 * samples
    for (problem, sample), response in done.items():
        length = 1 + (7 * problem + 13 * sample) % 60
        assert response.tokens.tolist() == [1000 * problem + sample] * min(length, 40)
        assert response.ended == (length <= 40)


def test_rows_stay_full():
    """Only the beginning and the end of a run leave rows idle."""
    schedule, _, _ = run(jobs(80, 40))
    assert schedule.occupancy > 0.95


def test_many_prompts_are_read_together():
    _, engine, _ = run(jobs(80, 2))
    assert engine.prefills < 80


def test_samples_with_holes():
    work = [Job(3, prompt_of(3), (1, 5, 6)), Job(9, prompt_of(9), (0,))]
    _, _, done = run(work)
    assert set(done) == {(3, 1), (3, 5), (3, 6), (9, 0)}


def test_a_long_prompt_waits_for_pages():
    tight = dataclasses.replace(SIZES, prompt_pages=4)
    _, _, done = run(jobs(20, 4), sizes=tight)
    assert len(done) == 80


def test_no_work_needs_no_device():
    assert run([])[2] == {}
