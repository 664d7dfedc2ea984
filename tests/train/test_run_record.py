"""run.json: what a training was computed by, from which step on."""

import json

import pytest

from rft_jax.errors import UserError
from rft_jax.train.run_record import NAME, record, refuse_moved


def parts(folder):
    return [(part["first_step"], part["made_by"]) for part in json.loads((folder / NAME).read_text())["parts"]]


def test_a_run_that_goes_on_in_the_same_environment_leaves_the_same_file(tmp_path):
    record(tmp_path, {"batch": 2}, {"code": "a"}, 0)
    unkilled = (tmp_path / NAME).read_bytes()
    record(tmp_path, {"batch": 2}, {"code": "a"}, 30)
    assert (tmp_path / NAME).read_bytes() == unkilled


def test_whether_git_answers_in_time_makes_no_difference(tmp_path):
    facts = {"code": "a", "commit": "b", "changed": False}
    record(tmp_path, {"batch": 2}, facts, 0)
    unkilled = (tmp_path / NAME).read_bytes()
    record(tmp_path, {"batch": 2}, {"code": "a"}, 30)
    assert (tmp_path / NAME).read_bytes() == unkilled


def test_what_computed_which_steps(tmp_path):
    record(tmp_path, {}, {"code": "a"}, 0)
    record(tmp_path, {}, {"code": "b"}, 30)
    assert parts(tmp_path) == [(0, {"code": "a"}), (30, {"code": "b"})]
    record(tmp_path, {}, {"code": "c"}, 20)  # the checkpoint of step 30 was damaged
    assert parts(tmp_path) == [(0, {"code": "a"}), (20, {"code": "c"})]
    record(tmp_path, {}, {"code": "d"}, 0)
    assert parts(tmp_path) == [(0, {"code": "d"})]


def test_a_file_of_somebody_else_is_replaced(tmp_path):
    (tmp_path / NAME).write_text("[1]")
    record(tmp_path, {}, {}, 5)
    assert parts(tmp_path) == [(5, {})]


@pytest.mark.parametrize(
    ("before", "now", "do"),
    [(None, "gs://b/x", "leave out --config.checkpoints"), ("gs://b/x", None, "give --config.checkpoints=gs://b/x")],
)
def test_a_run_goes_on_from_where_its_checkpoints_are(tmp_path, before, now, do):
    refuse_moved(tmp_path, now)  # a new run
    record(tmp_path, {"checkpoints": before}, {}, 0)
    refuse_moved(tmp_path, before)
    with pytest.raises(UserError, match=do):
        refuse_moved(tmp_path, now)


def test_a_run_of_before_has_its_checkpoints_in_the_workdir(tmp_path):
    record(tmp_path, {}, {}, 0)
    refuse_moved(tmp_path, None)
    with pytest.raises(UserError, match="has its checkpoints in the workdir, not in gs://b/x"):
        refuse_moved(tmp_path, "gs://b/x")
