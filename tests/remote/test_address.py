"""Names of objects, and what cannot be in a bucket."""

import re
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.remote import address


def test_only_names_with_a_scheme_are_remote() -> None:
    assert address.is_remote("gs://b/x")
    assert address.is_remote("http://b/x")  # and refused
    assert not any(map(address.is_remote, ["a/b", "/a", "hf:openai/gsm8k:main:train", "a:b", Path("gs://b/x")]))


def test_parts() -> None:
    assert address.split("gs://b/a/x/") == ("gs", "b/a/x")
    assert address.folder_and_base("s3://b/a/x") == ("s3://b/a", "x")
    assert address.folder_and_base("s3://b/x") == ("s3://b", "x")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("http://b/x", "begin with gs:// or s3://"),
        ("gs://", "names no bucket: write gs://BUCKET/NAME"),
        ("s3:///x", "names no bucket"),
        ("s3://b", "is a whole bucket: write s3://b/NAME"),
        ("gs://b/w\udcff", r"'gs://b/w\\udcff' is not UTF-8"),
    ],
)
def test_wrong_names(name: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        address.folder_and_base(name)


def test_a_folder_that_must_be_local() -> None:
    assert address.local("a/b", "--workdir", address.SHARED) == Path("a/b")
    with pytest.raises(UserError, match=r"--workdir=gs://b/x: this folder needs locks"):
        address.local("gs://b/x", "--workdir", address.SHARED)


def test_a_folder_for_checkpoints() -> None:
    address.require_checkpoints("gs://my-bucket/runs/lr=1e-5,seed_0.x/", "--config.checkpoints")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("checkpoints", "give a folder in a bucket, gs://BUCKET/FOLDER, or leave it out for the workdir's own"),
        ("", "give a folder in a bucket"),
        ("s3://b/x", "Orbax cannot write checkpoints to s3://, only to gs://; leave it out"),
        ("az://b/x", "names of this form begin with gs:// or s3://"),
        ("gs://", "names no bucket"),
        ("gs://b", "is a whole bucket"),
        ("gs://b/a//x", "'' is not plain enough"),
        ("gs://b/../x", "'..' is not plain enough"),
        ("gs://b/run[1]", "'run[1]' is not plain enough"),
        ("gs://b/a?b", "not plain enough"),
        ("gs://b/a#b", "not plain enough"),
    ],
)
def test_no_folder_for_checkpoints(name: str, line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)) as caught:
        address.require_checkpoints(name, "--config.checkpoints")
    assert "\n" not in str(caught.value)
