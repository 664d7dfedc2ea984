"""Lines are read and written as the file's name says, and a damaged file is told."""

import gzip
import json
from pathlib import Path as File

import pytest
import zstandard

from rft_jax.errors import UserError
from rft_jax.records.lines import with_infix
from rft_jax.records.path import Path, read_paths, write_paths
from rft_jax.records.problem import read_problems

GOOD = {"problem": 0, "sample": 0, "model": "m", "response": "r"}


def test_compressed_files_are_what_their_names_say(tmp_path: File) -> None:
    for suffix in ("", ".gz", ".zst"):
        write_paths(tmp_path / f"x.jsonl{suffix}", [Path(0, 0, "m", "r" * 1000)] * 100)
    plain = (tmp_path / "x.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()) == plain
    assert zstandard.ZstdDecompressor().stream_reader((tmp_path / "x.jsonl.zst").read_bytes()).read() == plain


def test_several_zstd_frames_are_one_file(tmp_path: File) -> None:
    line = json.dumps(GOOD).encode() + b"\n"
    (tmp_path / "x.zst").write_bytes(zstandard.compress(line) + zstandard.compress(line * 2))
    assert len(list(read_paths(tmp_path / "x.zst"))) == 3


def test_unreadable_files(tmp_path: File) -> None:
    with pytest.raises(UserError, match=r"no such file: .*none\.jsonl"):
        read_problems(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        read_problems(tmp_path)
    for suffix in (".gz", ".zst"):
        file = tmp_path / f"x.jsonl{suffix}"
        file.write_bytes(b"this is not compressed\n")
        with pytest.raises(UserError, match="cannot read"):
            list(read_paths(file))
        write_paths(file, [Path(0, number, "m", str(hash(str(number)))) for number in range(1000)])
        whole = file.read_bytes()
        for length in (len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:length])
            with pytest.raises(UserError, match="cut in the middle"):
                list(read_paths(file))


def test_names_of_prefix_sets() -> None:
    names = ["a/s.jsonl", "s.jsonl.gz", "s", "s.v1.jsonl.zst", "s.gz"]
    assert [str(with_infix(name, "k3")) for name in names] == [
        "a/s.k3.jsonl", "s.k3.jsonl.gz", "s.k3", "s.v1.k3.jsonl.zst", "s.k3.gz",
    ]  # fmt: skip
