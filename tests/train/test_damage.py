"""A checkpoint that was damaged on the disk: found before it is used, told in one line that names the file."""

import json
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.errors import UserError
from rft_jax.hf import pretrained
from rft_jax.runtime import make_mesh
from rft_jax.train import checkpoint, convert, loop, manifest, step
from rft_jax.train.checkpoint import Checkpoints
from tests.train.test_checkpoint import ADAMW, CONFIG, ORIGIN, make_state
from tests.train.test_loop import lines, tiny_config


@pytest.fixture(scope="module")
def state():
    return make_state()


@pytest.fixture(scope="module")
def saved(state, tmp_path_factory):
    """A folder with the checkpoints of steps 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    with Checkpoints(folder, ORIGIN, keep=3) as checkpoints:
        for number in (1, 2, 3):
            checkpoints.save(number, state)
            checkpoints.wait()
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoints")


def contents(folder):
    """The files of a step that hold the state and what it belongs to."""
    return sorted(path for path in folder.glob("*/**/*") if path.is_file())


def flip(path):
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = (flip, cut, empty, remove, replace_by_folder)


def one_line(caught, *words):
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line, line


def to_model(folder, tmp_path, model_folder):
    convert.convert(folder, tmp_path / "model", tokenizer=model_folder, dtype="float32")


def test_every_checkpoint_has_the_checksums_of_all_its_files(saved):
    for number in (1, 2, 3):
        entries = json.loads((saved / str(number) / manifest.NAME).read_text())
        assert sorted(entries) == [str(path.relative_to(saved / str(number))) for path in contents(saved / str(number))]
        assert any(name.startswith("state/") for name in entries)
        assert any(name.startswith("origin/") for name in entries)
        assert manifest.fault(saved / str(number)) is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damage_to_any_file_is_found_and_named(saved, tmp_path, damage):
    for file in contents(saved / "3"):
        name = str(file.relative_to(saved / "3"))
        folder = shutil.copytree(saved / "3", tmp_path / "3")
        damage(folder / name)
        assert manifest.fault(folder).startswith(name)
        with pytest.raises(UserError) as caught:
            checkpoint.check(folder)
        one_line(caught, str(folder), "damaged", name)
        shutil.rmtree(folder)


@pytest.mark.parametrize("damage", [flip, cut, empty, replace_by_folder])
def test_damage_to_the_checksums_themselves(copy, damage):
    damage(copy / "3" / manifest.NAME)
    assert manifest.fault(copy / "3") is not None


def test_shares_of_several_processes_cover_all_files(copy):
    damaged = contents(copy / "3")[4]
    flip(damaged)
    for parts in (2, 3, 5):
        found = [manifest.fault(copy / "3", part, parts) for part in range(parts)]
        assert len([fault for fault in found if fault]) == 1


def test_a_damaged_checkpoint_is_neither_converted_nor_started_from(copy, model_folder, tmp_path):
    flip(next(path for path in contents(copy / "3") if path.parent.name == "d"))
    with pytest.raises(UserError) as caught:
        to_model(copy / "3", tmp_path, model_folder)
    one_line(caught, str(copy / "3"), "damaged: state/", "checksum")
    assert not (tmp_path / "model").exists()
    with pytest.raises(UserError, match="is damaged: state/"):
        checkpoint.restore(copy / "3", step.abstract_state(CONFIG, ADAMW, make_mesh(1, 8, 1)))


def test_a_run_goes_on_from_the_last_whole_checkpoint(copy, state, caplog):
    abstract = step.abstract_state(CONFIG, ADAMW, make_mesh(1, 8, 1))
    flip(contents(copy / "3")[-1])
    cut(contents(copy / "2")[0])
    with caplog.at_level(logging.WARNING), Checkpoints(copy, ORIGIN, keep=3) as checkpoints:
        assert checkpoints.latest == 1
        restored = checkpoints.restore(1, abstract)
        checkpoints.save(3, state)
        checkpoints.wait()
    told = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert len(told) == 2
    assert all("\n" not in line and "going on from step 1" in line for line in told)
    np.testing.assert_array_equal(restored.model.embedding[...], state.model.embedding[...])
    assert checkpoint.saved_steps(copy) == [1, 3]
    assert sorted(path.name for path in copy.glob("*.damaged")) == ["2.damaged", "3.damaged"]
    with Checkpoints(copy, ORIGIN, keep=3) as checkpoints:
        assert checkpoints.latest == 3


def test_a_run_without_a_whole_checkpoint_stops(copy):
    for number in "123":
        cut(contents(copy / number)[0])
    with pytest.raises(UserError) as caught:
        Checkpoints(copy, ORIGIN, keep=3)
    one_line(caught, str(copy / "3"), contents(copy / "3")[0].name, "no earlier checkpoint that is whole")
    assert checkpoint.saved_steps(copy) == [1, 2, 3]


@pytest.mark.parametrize("item", ["state", "origin"])
def test_half_a_checkpoint_of_an_earlier_version(copy, item):
    (copy / "3" / manifest.NAME).unlink()
    shutil.rmtree(copy / "3" / item)
    with Checkpoints(copy, ORIGIN, keep=3) as checkpoints:
        assert checkpoints.latest == 2


def test_a_checkpoint_of_an_earlier_version_is_taken_with_a_warning(copy, state, caplog):
    (copy / "3" / manifest.NAME).unlink()
    with caplog.at_level(logging.WARNING), Checkpoints(copy, ORIGIN, keep=3) as checkpoints:
        restored = checkpoints.restore(3, step.abstract_state(CONFIG, ADAMW, make_mesh(1, 8, 1)))
    assert len([record for record in caplog.records if "has no checksums" in record.getMessage()]) == 1
    np.testing.assert_array_equal(restored.model.embedding[...], state.model.embedding[...])


def one_line_or_nothing(action):
    """Returns what the action returns, or None after an error of one line."""
    try:
        return action()
    except UserError as error:
        lines = str(error).splitlines()
    assert len(lines) == 1
    return None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of Orbax's coroutines
@pytest.mark.parametrize("damage", [cut, empty, remove])
def test_without_checksums_damage_is_one_line_or_harmless(saved, state, model_folder, tmp_path, damage):
    """What Orbax and tensorstore say of damage runs over many lines; files that they do not need may be damaged."""
    abstract = step.abstract_state(CONFIG, ADAMW, make_mesh(1, 8, 1))
    refused = 0
    for file in contents(saved / "3"):
        folder = shutil.copytree(saved / "3", tmp_path / "3")
        (folder / manifest.NAME).unlink()
        damage(folder / file.relative_to(saved / "3"))
        restored = one_line_or_nothing(lambda folder=folder: checkpoint.restore(folder, abstract))
        refused += restored is None
        if restored is not None:
            for leaf, expected in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True):
                np.testing.assert_array_equal(jax.device_get(leaf), jax.device_get(expected))
        if one_line_or_nothing(lambda folder=folder: to_model(folder, tmp_path, model_folder) or True):
            model = pretrained.load(tmp_path / "model", dtype=jnp.dtype(jnp.float32), stacked=True)
            np.testing.assert_array_equal(model.embedding[...], state.model.embedding[...])
        shutil.rmtree(folder)
    assert refused > 0


@pytest.mark.slow
def test_the_same_command_falls_back_and_ends_as_if_nothing_had_happened(model_folder, data, tmp_path):
    config = tiny_config(model_folder, data)
    loop.train(config, tmp_path, command="the command")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    told = [line["loss"] for line in lines(tmp_path)]
    flip(contents(tmp_path / "checkpoints" / "10")[-1])
    loop.train(config, tmp_path, command="the command")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    assert [line["loss"] for line in lines(tmp_path)] == told
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == [8, 10]
