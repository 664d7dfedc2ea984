"""An engine without a model: the real seating, pages that are only counted, and samples of any lengths."""

import jax
import numpy as np

from rft_jax.sample.decode import ENDED, FULL, GOES_ON, Steps
from rft_jax.sample.seating import NONE, Rows, Slots, seat


class DeviceModel:
    """Rows whose samples end when `ends(problem, sample, count, device model)` says so, or at the limit.

    A token tells who made it: 1000 · problem + sample. Every prompt is checked against `prompt_of(problem)`.

    Attributes:
        given_way: how often a row lost its pages.
        oldest_gave_way: whether the one with the most tokens ever did.
        in_use: the share of the pool in use at each turn of the page.
        stopped: the tokens that each sample had which the host stopped.
    """

    def __init__(self, sizes, devices, ends, prompt_of, skipped, steps=None):
        self.sizes, self.ends, self.prompt_of, self.skipped = sizes, ends, prompt_of, skipped
        self.steps, self.half_page, self.prefills = steps or sizes.page_size // 2, sizes.page_size // 2, 0
        self.given_way, self.oldest_gave_way, self.in_use, self.stopped = 0, False, [], []
        rows = lambda value: np.full(sizes.rows, value, np.int32)  # noqa: E731
        slots = lambda *shape: np.zeros((sizes.slots, *shape), np.int32)  # noqa: E731
        members = slots(sizes.seats) + np.int32(sizes.no_row)
        start = (
            Rows(rows(0), rows(NONE), rows(0), rows(0), rows(sizes.no_slot), rows(0)),
            Slots(slots(), slots(), slots(), slots(), slots(sizes.samples), slots(), slots(), members),
        )
        self.state = [jax.tree.map(np.copy, start) for _ in range(devices)]
        self.held = [np.zeros(sizes.rows, int) for _ in range(devices)]
        self.seat = jax.jit(seat)

    def prefill(self, batch):
        self.prefills += 1
        parts = np.split(np.arange(len(batch.lengths)), len(self.state))
        for (_, slots), part in zip(self.state, parts, strict=True):
            for i in part:
                at = batch.slots[i]
                if at == self.sizes.no_slot:
                    continue
                used = batch.pages[i][batch.pages[i] < self.sizes.prompt_pages]
                assert len(used) == len(set(used)) == -(-batch.lengths[i] // self.sizes.page_size)
                wanted = jax.tree.map(lambda x, i=i: x[i], batch.wanted)
                told = [*batch.tokens[i, : batch.lengths[i]].tolist(), int(wanted.last_token)]
                problem, begun = int(wanted.problem), int(wanted.begun)
                assert told == [*self.prompt_of(problem).tolist(), *[1000 * problem + int(wanted.samples[0])] * begun]
                assert wanted.length == self.skipped + batch.lengths[i]
                assert np.all(slots.members[at] == self.sizes.no_row)
                for name in ("problem", "last_token", "length", "begun", "samples", "size", "taken"):
                    getattr(slots, name)[at] = getattr(wanted, name)

    def start(self, orders):
        *planned, now = jax.tree.leaves(orders)
        parts = [np.split(x, len(self.state)) for x in planned]
        results = [self._device(number, *(part[number] for part in parts), now) for number in range(len(self.state))]
        lost = None
        if (now + self.steps) % self.half_page == 0:
            lost = np.concatenate([self._turn_page(number) for number in range(len(self.state))])
        return Steps(*(np.concatenate(column, axis=1) for column in zip(*results, strict=True)), None), lost

    def wait(self, started):
        return started

    def _device(self, number, order, room, stop_slot, stop_sample, reach, depth, now):
        rows, slots = self.state[number]
        told = (stop_sample == rows.sample) & (stop_slot == rows.slot) & (rows.sample != NONE)
        self.stopped += rows.count[told].tolist()
        rows.sample[told] = NONE
        shape = (self.steps, self.sizes.rows)
        token, sample, slot, finish = (np.zeros(shape, np.int32) for _ in range(4))
        sample -= 1
        for step in range(self.steps):
            self.held[number][rows.sample == NONE] = 0
            starting = (now + step) % self.half_page == 0
            rows, slots, left, _ = jax.tree.map(np.array, self.seat(rows, slots, order, room if starting else 0 * room))
            room = left if starting else room
            for row in np.flatnonzero(rows.sample != NONE):
                here, problem = rows.slot[row], int(slots.problem[rows.slot[row]])
                assert slots.members[here, rows.seat[row]] == row
                rows.count[row] += 1
                rows.column[row] = (rows.column[row] + 1) % self.sizes.page_size
                token[step, row] = 1000 * problem + rows.sample[row]
                sample[step, row], slot[step, row] = rows.sample[row], here
                ended = self.ends(problem, int(rows.sample[row]), int(rows.count[row]), self)
                full = rows.count[row] >= self.sizes.response_width
                finish[step, row] = ENDED if ended else FULL if full else GOES_ON
                if ended or full:
                    rows.sample[row] = NONE
        self.state[number] = rows, slots
        return token, sample, slot, finish, np.ones(shape, bool)

    def _turn_page(self, number):
        """As `flush`: from the oldest to the youngest, those stay that have room together."""
        rows, held = self.state[number][0], self.held[number]
        held[rows.sample == NONE] = 0
        live, full = np.flatnonzero(rows.sample != NONE), rows.column == 0
        queue = live[np.argsort(-rows.count[live], kind="stable")]
        gone = queue[np.cumsum((held + full)[queue]) > self.sizes.history_pages]
        lost = np.zeros(self.sizes.rows, bool)
        lost[gone] = True
        self.given_way += len(gone)
        self.oldest_gave_way |= len(gone) > 0 and gone[0] == queue[0]
        held[live] += full[live]
        held[gone] = 0
        rows.sample[gone] = NONE
        self.in_use.append(held.sum() / self.sizes.history_pages)
        return lost
