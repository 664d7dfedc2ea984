"""Overrides reach the field they name, typed; everything else is one clear line."""

import dataclasses
from typing import Literal

import pytest
from absl import flags

from rft_jax.config import MeshConfig
from rft_jax.config_flag import load, override
from rft_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Example:
    steps: int = 3
    rate: float = 0.5
    packing: bool = True
    loss: Literal["token_mean", "group_mean"] = "token_mean"
    model: str | None = None
    sizes: tuple[int, ...] = (1,)
    stages: tuple[MeshConfig | None, ...] = ()
    mesh: MeshConfig = MeshConfig()  # noqa: RUF009 (frozen)


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("steps", "12", Example(steps=12)),
        ("rate", "1/32", Example(rate=1 / 32)),
        ("rate", "2e-5", Example(rate=2e-5)),
        ("packing", "false", Example(packing=False)),
        ("loss", "group_mean", Example(loss="group_mean")),
        ("model", "some/folder", Example(model="some/folder")),
        ("model", "none", Example(model=None)),
        ("sizes", "1,3,6", Example(sizes=(1, 3, 6))),
        ("mesh.tensor", "2", Example(mesh=MeshConfig(tensor=2))),
    ],
)
def test_override(field, text, expected):
    assert override(Example(), field, text) == expected


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("stepz", "1", "unknown config field 'stepz' .did you mean 'steps'"),
        ("mesh.tensr", "1", "unknown config field 'mesh.tensr' .did you mean 'tensor'"),
        ("steps", "many", "config field 'steps': 'many' is not a whole number"),
        ("steps", "1.5", "is not a whole number"),
        ("rate", "1/0", "is not a number"),
        ("packing", "yes", "neither true nor false"),
        ("loss", "token_meen", "did you mean 'token_mean'"),
        ("sizes", "1,x", "'x' is not a whole number"),
        ("stages", "sft", "write a config file of your own"),
        ("mesh", "1", "is a group: set one of data, fsdp, tensor"),
        ("steps.more", "1", "'steps' has no fields"),
    ],
)
def test_a_bad_override_is_one_clear_line(field, text, message):
    with pytest.raises(flags.Error, match=message):
        override(Example(), field, text)


def write(tmp_path, text):
    file = tmp_path / "config.py"
    file.write_text(f"from rft_jax.config import MeshConfig\n{text}")
    return file


def test_load_with_and_without_argument(tmp_path):
    file = write(tmp_path, "def get_config(size: str = '2'): return MeshConfig(tensor=int(size))")
    assert load(f"{file}", MeshConfig) == MeshConfig(tensor=2)
    assert load(f"{file}:4", MeshConfig) == MeshConfig(tensor=4)


@pytest.mark.parametrize(
    ("text", "argument", "message"),
    [
        ("x = 1", "", "defines no get_config"),
        ("def get_config(): return MeshConfig()", ":big", "takes no argument, got ':big'"),
        ("def get_config(): return 3", "", "makes a int, this command needs a MeshConfig"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path, text, argument, message):
    with pytest.raises(UserError, match=message):
        load(f"{write(tmp_path, text)}{argument}", MeshConfig)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no config file .*nowhere\.py"):
        load(f"{tmp_path}/nowhere.py:7b", MeshConfig)
