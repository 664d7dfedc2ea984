"""Claims: one worker alone gets each work, others take over what a dead one had, and many finish a folder together."""

import collections
import heapq
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from rft_jax.errors import UserError
from rft_jax.records import manifest
from rft_jax.records.path import Path, read_paths
from rft_jax.sample.sharing import claims, host, terms
from rft_jax.sample.sharing.claims import BEAT_S, DEAD_S, Claims
from rft_jax.sample.sharing.ledger import Ledger
from rft_jax.sample.sharing.share import MOST_LOOK_S, Share


class Clock:
    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


def names(*left):
    return lambda: left


def worker(folder, name, clock, **options):
    return Claims(folder / "claims", worker=name, clock=clock, **({"gone": lambda _: False} | options))


def test_each_work_goes_to_one(tmp_path):
    clock, left = Clock(), names("w1", "w2", "w3", "w4")
    one, two = worker(tmp_path, "one", clock), worker(tmp_path, "two", clock)
    assert [one.take(left), two.take(left), one.take(left), two.take(left)] == ["w1", "w2", "w3", "w4"]
    assert one.take(left) is None
    two.release("w2")
    assert two.take(left) == "w2"


def test_the_last_work_goes_to_many(tmp_path):
    """Also if a worker has room for more: two that come when 2 of 10 are left have one each."""
    clock, left = Clock(), names("w9", "w10")
    one, _ = worker(tmp_path, "one", clock), worker(tmp_path, "two", clock)
    assert one.take(left) == "w9"
    assert one.take(left) is None


def test_what_is_finished_meanwhile_is_not_claimed(tmp_path):
    looks = iter([["w1", "w2"], ["w2"], ["w2"]])  # another worker writes w1 between the look and the claim
    assert worker(tmp_path, "one", Clock()).take(lambda: next(looks)) == "w2"
    assert [file.name for file in (tmp_path / "claims").glob("*.claim")] == ["w2.1.claim"]


@pytest.mark.parametrize("offset", [0.0, 1e5, -1e5], ids="clocks {:+.0f} s apart".format)
def test_a_silent_worker_is_dead_after_a_while(tmp_path, offset):
    dead, clock = worker(tmp_path, "dead", Clock(offset)), Clock()
    assert dead.take(names("w1")) == "w1"
    one, left = worker(tmp_path, "one", clock), names("w1")
    for _ in range(20):
        assert one.take(left) is None
        clock.now += BEAT_S
        dead.beat()
    assert one.take(left) is None
    clock.now += DEAD_S - 1
    assert one.take(left) is None
    clock.now += 2
    assert one.take(left) == "w1"
    # It was only stalled: it comes back, and drops what is no longer its own.
    dead.beat()
    assert dead.lost() == ["w1"]
    assert dead.lost() == one.lost() == []
    one.close()
    dead.close()
    assert not (tmp_path / "claims").exists()


def test_a_process_of_this_machine_that_ended_is_dead_at_once(tmp_path):
    code = (
        "import os, pathlib, signal, sys; from rft_jax.sample.sharing.claims import Claims\n"
        "Claims(pathlib.Path(sys.argv[1])).take(lambda: ['w1']); print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "claims"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    one = Claims(tmp_path / "claims")
    assert one.take(names("w1")) is None
    process.kill()
    until = time.monotonic() + 10
    while one.take(names("w1")) is None:  # the signal takes a moment; nobody has waited for the process yet
        assert time.monotonic() < until
    process.communicate()
    assert one.take(names("w1", "w2")) == "w2"


def test_identities():
    me = host.identity()
    machine, process, start = me.rsplit(".", 2)
    assert process == str(os.getpid())
    assert not host.gone(me)
    assert host.gone(f"{machine}.{process}.{int(start) - 1}"), "another process had this id before"
    assert not host.gone(f"other-{machine}.{process}.{int(start) - 1}"), "another machine"
    assert not host.gone("w1.1.claim")


def test_a_claim_that_does_not_say_whose(tmp_path):
    """The worker was killed, or the disk was full, between making the file and writing it."""
    clock = Clock()
    one = worker(tmp_path, "one", clock)
    (tmp_path / "claims" / "w1.3.claim").touch()
    assert one.take(names("w1")) is None
    clock.now += DEAD_S + 1
    assert one.take(names("w1")) == "w1"
    one.release("w1")
    assert not [*(tmp_path / "claims").glob("*.claim")]


def test_a_claim_of_the_same_number_by_another_worker(tmp_path):
    """One has given the work up, and ended, since others saw that it had it."""
    clock, left = Clock(), names("w1")
    ended = set()
    one, two, three = (worker(tmp_path, name, clock, gone=ended.__contains__) for name in ("one", "two", "three"))
    assert one.take(left) == "w1"
    assert three.take(left) is None
    one.close()
    ended.add("one")
    assert two.take(left) == "w1"
    assert three.take(left) is None
    three.close()
    assert two.lost() == []


def test_its_own_claim_that_it_could_not_read_once(tmp_path, monkeypatch):
    """As others see that it is alive, nobody else will have the work."""
    one, left = worker(tmp_path, "one", Clock()), names("w1")
    assert one.take(left) == "w1"
    with monkeypatch.context() as context:
        context.setattr(one, "_content", lambda *_: "")
        assert one.lost() == ["w1"]
    assert one.take(left) == "w1"
    assert one.lost() == []


def test_one_of_many_threads_wins(tmp_path):
    def run(number):
        one = Claims(tmp_path / "claims", worker=f"n{number}")
        barrier.wait()
        while (name := one.take(lambda: left)) is not None:
            won.append(name)

    barrier, won, left = threading.Barrier(8), [], [f"w{number}" for number in range(200)]
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(left)


def test_a_folder_that_goes_away(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.02)
    (tmp_path / "paths").mkdir()
    with Claims(tmp_path / "paths" / "claims") as one:
        time.sleep(0.2)
        one.check()
        one._beat_file(one._beats).unlink(missing_ok=True)  # others took it for dead: it says that it is not
        time.sleep(0.2)
        one.check()
        (tmp_path / "paths").rename(tmp_path / "elsewhere")
        time.sleep(0.5)
        with pytest.raises(UserError, match=r"cannot write to .*claims: No such file"):
            one.check()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "claims").touch()
    with pytest.raises(UserError, match="cannot write to"):
        Claims(tmp_path / "claims")


# A worker that takes 10 ms for a path, journals every 0.3 s, and notes what it made before anything else is done.
QUICK = """
import os, pathlib, sys, time
from rft_jax.records.path import Path
from rft_jax.sample.sharing import share
from rft_jax.sample.sharing.claims import Claims
from rft_jax.sample.sharing.ledger import Ledger
share.JOURNAL_S = share.LOOK_S = share.MOST_LOOK_S = 0.3
folder, notes = pathlib.Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
book = Ledger(folder, {}, problems=128, k=32)
with Claims(folder / "claims", needed=book.tiles.__contains__) as claims:
    mine = share.Share(book, claims, folder / "claims")
    while True:
        if (claimed := mine.claim()) is None:
            if mine.complete():
                break
            time.sleep(0.3)
            continue
        for at in [(problem, sample) for problem, samples in claimed["jobs"] for sample in samples]:
            time.sleep(0.01)
            os.write(notes, b"%d %d\\n" % at)
            mine.add(Path(*at, "m", str(at), 1, "eos"))
            mine.keep()
"""


@pytest.mark.slow
def test_workers_killed_ten_times(tmp_path):
    """Real processes, four at a time: killed at any moment and started again, they do only the last moments twice."""
    folder = tmp_path / "paths"
    processes, numbers = [], itertools.count()

    def start():
        notes = tmp_path / f"notes {next(numbers)}"
        processes.append((notes, subprocess.Popen([sys.executable, "-c", QUICK, folder, notes])))

    for _ in range(4):
        start()
    killed = []
    for _ in range(10):
        notes, process = processes.pop(random.randrange(4))
        while not notes.exists():  # its imports
            time.sleep(0.01)
        time.sleep(random.uniform(0, 1))
        process.kill()
        if process.wait():
            killed.append(notes)
        start()
    assert [process.wait() for _, process in processes] == [0] * 4
    made = [
        tuple(map(int, line.split())) for notes in tmp_path.glob("notes *") for line in notes.read_text().splitlines()
    ]
    everything = set(itertools.product(range(128), range(32)))
    print(f"{len(killed)} kills, {len(made) - len(everything)} of {len(everything)} paths made twice")
    assert len(killed) == 10
    assert set(made) == everything
    found = [(path.problem, path.sample) for file in folder.glob("*.jsonl") for path in read_paths(file)]
    assert len(found) == len(everything)
    assert not (folder / "claims").exists()
    assert len(made) - len(everything) <= 10 * 60  # what fits into two journals' time, and twice that


class Simulation:
    """Workers that sample one path after the other, on real files, in a time of their own."""

    TILE = 8  # paths

    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.folder = folder
        self.now = 0.0
        self.events, self.order = [], itertools.count()
        self.last_beat, self.ended, self.sampled = {}, set(), collections.Counter()
        self.busy = self.live = 0.0
        self.taken_over = 0

    def at(self, when, action):
        heapq.heappush(self.events, (when, next(self.order), action))

    def run(self):
        while self.events:
            self.now, _, action = heapq.heappop(self.events)
            action()


class Worker:
    def __init__(self, simulation, number, tiles):
        self.simulation, self.random = simulation, simulation.random
        self.name, self.offset = f"worker{number}-{number % 25}", self.random.uniform(-1e5, 1e5)
        book = Ledger(simulation.folder, {}, problems=tiles, k=simulation.TILE)
        self.claims = Claims(
            simulation.folder / "claims",
            worker=self.name,
            needed=book.tiles.__contains__,
            clock=self.clock,
            gone=self.gone,
        )
        self.share = Share(book, self.claims, simulation.folder / "claims", clock=self.clock)
        self.waiting, self.stalled_until, self.idle_since = [], 0.0, None
        self.step_s = self.random.uniform(8, 24)  # so a tile takes 1 to 3 minutes
        self.room = self.random.choice([1, 1, 12])  # paths that it takes ahead
        self.on = True
        self.beat()
        self.work()

    def clock(self):
        return self.simulation.now + self.offset

    def gone(self, name):
        return name in self.simulation.ended and name.split("-")[-1] == self.name.split("-")[-1]

    def die(self):
        self.on = False
        self.simulation.ended.add(self.name)

    def stall(self, seconds):
        self.stalled_until = self.simulation.now + seconds

    def awake(self, again):
        """Returns whether the worker acts now; a stalled one does later."""
        if self.on and self.simulation.now < self.stalled_until:
            self.simulation.at(self.stalled_until, again)
            return False
        return self.on

    def beat(self):
        if self.awake(self.beat):
            self.claims.beat()
            self.simulation.last_beat[self.name] = self.simulation.now
            self.simulation.at(self.simulation.now + BEAT_S, self.beat)

    def work(self):
        if not self.awake(self.work):
            return
        while len(self.waiting) < self.room and (claimed := self.share.claim()) is not None:
            self.waiting += [(problem, sample) for problem, samples in claimed["jobs"] for sample in samples]
        if self.waiting:
            self.idle_since = None
            self.simulation.at(self.simulation.now + self.step_s, lambda: self.finish(*self.waiting.pop(0)))
        elif self.share.complete():
            self.claims.close()
            self.on = False
        else:
            self.check_idle()
            self.simulation.at(self.simulation.now + self.share.pause, self.work)

    def finish(self, problem, sample):
        if not self.awake(lambda: self.finish(problem, sample)):
            return
        self.simulation.sampled[problem, sample] += 1
        self.share.add(Path(problem, sample, "m", f"{problem}/{sample}", 1, "eos"))
        self.share.keep()
        self.work()

    def check_idle(self):
        """Nothing is left that a worker with nothing to do could have."""
        now = self.simulation.now
        self.idle_since = now if self.idle_since is None else self.idle_since
        files = [file.name.rsplit(".", 2) for file in (self.simulation.folder / "claims").glob("*.claim")]
        last = {}
        for name, number, _ in files:
            last[name] = max(int(number), last.get(name, 0))
        unfinished = set(self.share._ledger.look())
        assert unfinished <= last.keys(), "work that nobody has"
        for name in unfinished:
            owner = (self.simulation.folder / "claims" / f"{name}.{last[name]}.claim").read_text()
            if self.simulation.last_beat[owner] < self.idle_since:
                assert now - self.idle_since < DEAD_S + BEAT_S + MOST_LOOK_S, f"{name} is {owner}'s, who is dead"


def simulate(folder, monkeypatch, *, workers, tiles, seed):
    """Returns which share of the paths was sampled twice or oftener, and a line of figures."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no machine goes down here
    wall = random.Random(seed)
    monkeypatch.setattr(time, "time", lambda: wall.uniform(0, 1e9))  # nobody may rely on it
    (folder / manifest.NAME).write_text(json.dumps({terms.TILE: [1, Simulation.TILE]}))
    simulation = Simulation(folder, seed)
    mean_tile_s = 16 * Simulation.TILE
    duration = tiles * mean_tile_s / workers
    numbers, made, counts = itertools.count(), [], collections.Counter()

    def start():
        counts["started"] += 1
        made.append(Worker(simulation, next(numbers), tiles))

    def accident(kind):
        if live := [worker for worker in made if worker.on]:
            counts[kind] += 1
            victim = simulation.random.choice(live)
            if kind == "died":
                victim.die()
                simulation.at(simulation.now + simulation.random.uniform(0, 300), start)
            else:
                victim.stall(simulation.random.uniform(5, 400))

    for _ in range(workers):
        simulation.at(simulation.random.uniform(0, duration / 4), start)
    for kind in ("died", "stalled"):
        for _ in range(tiles // 100):
            simulation.at(simulation.random.uniform(0, duration), lambda kind=kind: accident(kind))
    begun = time.monotonic()
    simulation.run()
    total = tiles * Simulation.TILE
    twice = (simulation.sampled.total() - total) / total
    figures = (
        f"{tiles} tiles, {dict(counts)}: {100 * twice:.2f} % sampled twice, done after "
        f"{simulation.now / duration:.2f} of the time without accidents, in {time.monotonic() - begun:.0f} s"
    )
    return simulation, twice, figures


def check(folder, simulation, tiles):
    everything = set(itertools.product(range(tiles), range(Simulation.TILE)))
    found = [(path.problem, path.sample) for file in folder.glob("*.jsonl") for path in read_paths(file)]
    assert len(found) == len(everything)
    assert set(found) == set(simulation.sampled) == everything
    # All that is left of the claims: signs of life of workers that died with nothing claimed.
    assert not [*folder.glob("claims/*.claim"), *folder.glob("claims/*.journal")]


def test_many_workers_finish_a_folder(tmp_path, monkeypatch):
    simulation, twice, told = simulate(tmp_path, monkeypatch, workers=12, tiles=200, seed=0)
    print(told)
    check(tmp_path, simulation, 200)
    assert twice < 0.02, told


@pytest.mark.slow
def test_two_hundred_workers_finish(tmp_path, monkeypatch):
    """Two tiles for each worker, so that most of the time is the end, where workers look for what dead ones had."""
    simulation, twice, told = simulate(tmp_path, monkeypatch, workers=200, tiles=400, seed=0)
    print(told)
    check(tmp_path, simulation, 400)
    assert twice < 0.02, told
