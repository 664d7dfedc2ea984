"""The journal: whoever claims a tile goes on from what is known of it, and a damaged journal is as good as none."""

import itertools

import numpy as np
import pytest

from rft_jax.records.path import Path
from rft_jax.sample.sharing import journal
from rft_jax.sample.sharing.claims import Claims
from rft_jax.sample.sharing.jobs import Jobs
from rft_jax.sample.sharing.ledger import Ledger
from rft_jax.sample.sharing.share import JOURNAL_S, LOOK_S, RESUME_S, Share

PROMPTS = [np.array([1, number]) for number in range(20)]


def path(problem, sample):
    return Path(problem, sample, "m", f"{problem}/{sample} é \ud800", 3, "eos")


class Worker:
    """Jobs on a folder of 20 problems × 10 samples, in tiles of 8 problems."""

    def __init__(self, folder, name, clock=None):
        self.now, self.slept = 0.0, 0
        self.unfinished = []
        self.ledger = Ledger(folder, {"seed": 0}, problems=20, k=10)
        claims = Claims(
            folder / "claims", worker=name, needed=self.ledger.tiles.__contains__, gone=lambda name: name == "dead"
        )
        self.claims = claims
        self.share = Share(
            self.ledger, claims, folder / "claims", unfinished=lambda: self.unfinished, clock=lambda: self.now
        )
        self.jobs = Jobs(self.share, PROMPTS, most=100, agree=lambda find: find(), sleep=self.sleep)

    def sleep(self, seconds):
        self.now += seconds
        self.slept += 1
        assert self.slept < 100

    def keep(self):
        for _ in range(2):  # what runs by the first is worth keeping by the second
            self.now += JOURNAL_S
            self.share.keep()

    def finish(self, jobs):
        done = [(job.problem, sample) for job in jobs for sample in job.samples]
        for at in done:
            self.share.add(path(*at))
        return done


def test_a_journal_gives_back_what_it_took(tmp_path):
    paths = [path(3, 1), path(0, 0)]
    begun = [(3, 2, np.array([5, 6, 7], np.int32)), (4, 0, np.array([], np.int32))]
    journal.write(tmp_path / "a.journal", paths, begun)
    assert journal.read(tmp_path / "a.journal") == (paths, {(3, 2): [5, 6, 7], (4, 0): []})
    assert journal.read(tmp_path / "none.journal") == ([], {})


def test_any_damage_is_noticed(tmp_path, caplog):
    file = tmp_path / "a.journal"
    journal.write(file, [path(3, 1)], [(3, 2, np.array([5, 6, 7], np.int32))])
    content = file.read_bytes()
    for place in range(len(content)):
        for damaged in (content[:place], content[:place] + b"%" + content[place + 1 :]):
            file.write_bytes(damaged)
            caplog.clear()
            assert journal.read(file) == ([], {})
            assert "sampled anew" in caplog.text


def test_another_worker_goes_on_from_the_journal(tmp_path):
    dead = Worker(tmp_path, "dead")
    jobs = list(itertools.islice(dead.jobs, 10))  # a tile, and two problems of the next
    done = dead.finish(jobs[:3] + jobs[8:9])
    dead.unfinished = [(3, 0, np.array([5, 6])), (9, 4, np.array([7]))]
    dead.keep()
    lost = dead.finish(jobs[3:5])  # not journaled before the kill

    one = Worker(tmp_path, "one")
    rest = list(one.jobs)
    wanted = [(job.problem, sample) for job in rest for sample in job.samples]
    assert set(lost) <= set(wanted)
    assert len(wanted) == len(set(wanted))
    assert set(wanted) == set(itertools.product(range(20), range(10))) - set(done)
    begun = {(job.problem, *job.samples): job.begun.tolist() for job in rest if len(job.begun)}
    assert begun == {(3, 0): [5, 6], (9, 4): [7]}
    assert all((job.prompt == PROMPTS[job.problem]).all() for job in rest)
    assert one.share.by_others == len(done)
    one.finish(rest)
    assert not one.jobs.left()
    one.claims.close()
    assert not (tmp_path / "claims").exists()


def test_what_has_run_for_a_minute_or_less_is_begun_anew(tmp_path):
    """So that short responses are bitwise the same after a kill."""
    dead = Worker(tmp_path, "dead")
    next(dead.jobs)
    dead.unfinished = [(3, 0, np.array([5]))]
    dead.now += JOURNAL_S
    dead.share.keep()
    file = tmp_path / "claims" / "00000-00007.000-049.journal"
    assert not journal.read(file)[1]
    dead.unfinished = [(3, 0, np.array([5, 6])), (3, 1, np.array([7]))]
    dead.now += RESUME_S
    dead.share.keep()
    assert journal.read(file)[1] == {(3, 0): [5, 6]}


def test_few_samples_go_on_where_slots_are_few(tmp_path):
    """A resumed sample takes a slot alone, so the longest go on and the others begin anew."""
    dead = Worker(tmp_path, "dead")
    next(dead.jobs)
    dead.unfinished = [(number // 10, number % 10, np.full(1 + number, 7)) for number in range(80)]
    dead.keep()
    assert journal.mean_begun(tmp_path / "claims") == np.mean(range(1, 81))
    one = Worker(tmp_path, "one")
    one.jobs = Jobs(one.share, PROMPTS, most=4, resumable=1 / 20, agree=lambda find: find(), sleep=one.sleep)
    work = list(itertools.islice(one.jobs, 4 + 7 * 3 + 2))
    assert max(len(job.samples) for job in work) == 4
    assert {(job.problem, *job.samples): len(job.begun) for job in work if len(job.begun)} == {
        (7, 6): 77, (7, 7): 78, (7, 8): 79, (7, 9): 80,
    }  # fmt: skip
    wanted = [(job.problem, sample) for job in work for sample in job.samples]
    assert sorted(wanted) == list(itertools.product(range(8), range(10)))


def test_a_tile_that_the_journal_has_whole(tmp_path):
    """The worker was killed between the last path and the shard."""
    dead = Worker(tmp_path, "dead")
    jobs = list(dead.jobs)
    dead.finish([*jobs[:7]])
    dead.keep()
    journal.write(
        tmp_path / "claims" / "00000-00007.000-049.journal",
        [path(problem, sample) for problem in range(8) for sample in range(10)], [],
    )  # fmt: skip
    one = Worker(tmp_path, "one")
    assert next(one.jobs).problem == 8
    assert one.ledger.done == 80


def test_paths_that_are_there_are_not_counted_again(tmp_path):
    """The worker was killed after the first of a tile's two shards, when its journal had paths of both."""
    dead = Worker(tmp_path, "dead")
    next(dead.jobs)
    dead.ledger.write([path(*number) for number in itertools.product(range(8), range(5))])
    journal.write(tmp_path / "claims" / "00000-00007.000-049.journal", [path(0, 1), path(0, 5), path(0, 6)], [])
    one = Worker(tmp_path, "one")
    assert {sample for job in itertools.islice(one.jobs, 8) for sample in job.samples} == set(range(5, 10))
    one.share.complete()
    assert one.share.by_others == 2


def test_jobs_end_and_go_on_as_others_finish(tmp_path):
    dead, one = Worker(tmp_path, "slow"), Worker(tmp_path, "one")
    slow = list(itertools.islice(dead.jobs, 8))
    mine = list(one.jobs)
    assert {job.problem for job in slow} == set(range(8))
    assert {job.problem for job in mine} <= set(range(8, 20))
    mine += [job for job in one.jobs]
    one.finish(mine)
    one.now += LOOK_S
    one.finish(list(one.jobs))

    def finish_meanwhile(seconds):
        one.sleep(seconds)
        if one.slept == 3:
            dead.finish(slow)

    one.jobs._sleep = finish_meanwhile
    assert not one.jobs.left()
    assert one.slept == 3
    assert one.ledger.done == 200


def test_what_was_taken_over_is_dropped(tmp_path, caplog):
    stalled = Worker(tmp_path, "dead")
    jobs = list(itertools.islice(stalled.jobs, 8))
    one = Worker(tmp_path, "one")
    one.finish(list(one.jobs))
    before = {file: file.stat() for file in tmp_path.glob("*.jsonl")}
    stalled.finish(jobs)
    assert "taken over" in caplog.text
    assert {file: file.stat() for file in tmp_path.glob("*.jsonl")} == before
    assert not stalled.jobs.left()


def test_what_a_kill_leaves_of_finished_work_is_removed(tmp_path):
    """The worker was killed after the last shard, before it removed claim and journal."""
    dead, one = Worker(tmp_path, "dead"), Worker(tmp_path, "one")
    dead.finish([job for _ in range(3) for job in dead.jobs])
    one.finish(list(one.jobs))
    (tmp_path / "claims" / "00000-00007.000-049.1.claim").write_text("dead")
    journal.write(tmp_path / "claims" / "00000-00007.000-049.journal", [path(0, 0)], [])
    assert not Worker(tmp_path, "again").ledger.tiles
    one.claims.close()
    assert not (tmp_path / "claims").exists()


def test_a_worker_that_fails_leaves_its_journal(tmp_path):
    one = Worker(tmp_path, "one")
    one.finish(list(itertools.islice(one.jobs, 1)))
    one.keep()
    one.claims.close()
    assert [file.name for file in (tmp_path / "claims").iterdir()] == ["00000-00007.000-049.journal"]
    assert next(Worker(tmp_path, "two").jobs).problem == 1


@pytest.mark.parametrize("seconds", [1, JOURNAL_S - 1])
def test_a_journal_is_written_at_times(tmp_path, seconds):
    one = Worker(tmp_path, "one")
    one.finish(list(itertools.islice(one.jobs, 1)))
    one.now += seconds
    one.share.keep()
    assert not [*tmp_path.glob("claims/*.journal")]
    one.now += JOURNAL_S - seconds
    one.share.keep()
    assert len([*tmp_path.glob("claims/*.journal")]) == 1
