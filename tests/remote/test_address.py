"""Names of objects, and what cannot be in a bucket."""

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
    ],
)
def test_wrong_names(name: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        address.folder_and_base(name)


def test_a_folder_that_must_be_local() -> None:
    assert address.local("a/b", "--workdir", address.SHARED) == Path("a/b")
    with pytest.raises(UserError, match=r"--workdir=gs://b/x: this folder needs locks"):
        address.local("gs://b/x", "--workdir", address.SHARED)
