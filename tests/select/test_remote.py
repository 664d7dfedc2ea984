"""A selection from and to a bucket is that of files of this machine, with the same checks."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.records import checksum, manifest
from rft_jax.records.path import Path as SampledPath
from rft_jax.records.path import write_paths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.records.shard import Shard
from rft_jax.remote import given
from rft_jax.select import job_identity, parts
from rft_jax.select.inputs import find_inputs
from rft_jax.select.job import prepare
from rft_jax.select.part import Part
from tests.remote import buckets
from tests.remote.buckets import Buckets
from tests.remote.fixtures import bucket as bucket
from tests.remote.fixtures import forget
from tests.remote.fixtures import system as system

ROOT = Path(__file__).parents[2]
COUNT, K = 12, 4
PROBLEMS = [Problem(f"{n}+{n}?", f"<<{n}+{n}={2 * n}>>\n#### {2 * n}") for n in range(COUNT)]


def write_run(folder: Path) -> None:
    """Writes problems, and paths in shards as sample does."""
    write_problems(folder / "problems.jsonl", PROBLEMS)
    paths = folder / "run" / "paths"
    paths.mkdir(parents=True)
    for first in range(0, COUNT, 3):
        shard = Shard((first, first + 3), (0, K))
        write_paths(
            paths / shard.name,
            [
                SampledPath(
                    n, sample, "m", f"<<{n}+{n}={2 * n + (sample == 1)}>>{sample}\n#### {2 * n + (sample == 1)}"
                )
                for n in range(*shard.problems)
                for sample in range(K)
            ],
        )
        text = checksum.line((paths / shard.name).read_bytes(), shard.name)
        checksum.beside(paths / shard.name).write_text(text)
    fields = {"name": "m", manifest.FIELD: manifest.of_problems(PROBLEMS)}
    (paths / manifest.NAME).write_text(json.dumps(fields))


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def select(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command, for which s3:// is a folder."""
    path = os.pathsep.join([str(buckets.SITE), str(ROOT)])
    return subprocess.run(
        [sys.executable, str(ROOT / "launch" / "select_paths.py"), *flags],
        cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def run(bucket: Path, tmp_path: Path) -> Path:
    """A folder with a run, which is in the bucket as well."""
    (tmp_path / "here").mkdir()
    write_run(tmp_path / "here")
    shutil.copytree(tmp_path / "here", bucket, dirs_exist_ok=True)
    return tmp_path / "here"


@pytest.mark.parametrize("output", ["u.jsonl", "u.jsonl.gz"])
def test_the_same_bytes_as_with_files(run: Path, bucket: Path, tmp_path: Path, output: str) -> None:
    (run / "out").mkdir()
    here = select("--problems=problems.jsonl", "--paths=run/paths/*.jsonl", f"--output=out/{output}", "--k=2", cwd=run)
    far = select(
        "--problems=s3://bucket/problems.jsonl", "--paths=s3://bucket/run/paths/*.jsonl",
        f"--output=s3://bucket/out/{output}", "--k=2", cwd=tmp_path,
    )  # fmt: skip
    assert (here.returncode, here.stderr) == (far.returncode, far.stderr) == (0, "")
    assert here.stdout == far.stdout
    assert files_in(bucket / "out") == files_in(run / "out")
    assert len(files_in(bucket / "out")) == 3
    assert list((tmp_path / "cache" / "outgoing").iterdir()) == []


def test_a_damaged_shard_is_refused_by_its_name(run: Path, bucket: Path, tmp_path: Path) -> None:
    shard = next((bucket / "run" / "paths").glob("*.jsonl"))
    shard.write_bytes(shard.read_bytes().replace(b"9", b"8"))
    result = select(
        "--problems=s3://bucket/problems.jsonl", "--paths=s3://bucket/run/paths/*.jsonl",
        "--output=s3://bucket/u.jsonl", cwd=tmp_path,
    )  # fmt: skip
    [line] = result.stderr.splitlines()
    assert result.returncode == 1
    assert line.startswith(f"error: s3://bucket/run/paths/{shard.name} is not what was written, its checksum differs")
    assert not (bucket / "u.jsonl").exists()


def test_paths_of_other_problems_are_refused(run: Path, bucket: Path, tmp_path: Path) -> None:
    write_problems(bucket / "problems.jsonl", PROBLEMS[::-1])
    with pytest.raises(UserError) as error:
        prepare(
            "s3://bucket/problems.jsonl", ["s3://bucket/run/paths/*.jsonl"], str(tmp_path / "u"), rules="paper", ks=[]
        )
    assert given.told(str(error.value)).startswith(
        "the paths in s3://bucket/run/paths were sampled from other problems"
    )


def test_what_is_read_is_not_written(run: Path, tmp_path: Path) -> None:
    for output in ("s3://bucket/problems.jsonl", next((run / "run" / "paths").glob("*.jsonl")).name):
        output = output if "://" in output else f"s3://bucket/run/paths/{output}"
        result = select(
            "--problems=s3://bucket/problems.jsonl", "--paths=s3://bucket/run/paths/*.jsonl", f"--output={output}",
            cwd=tmp_path,
        )  # fmt: skip
        assert result.stderr.startswith(f"error: {output} is to be read and written")


def test_a_part_fetches_its_own_shards_only(run: Path, system: Buckets, tmp_path: Path) -> None:
    """And parts of several machines, whose caches are others, are of one selection."""
    arguments = ("s3://bucket/problems.jsonl", ["s3://bucket/run/paths/*.jsonl"], str(tmp_path / "u.jsonl"))
    identities = []
    for index in range(2):
        forget()
        os.environ["RFT_JAX_CACHE"] = str(tmp_path / f"cache{index}")  # the fixture restores it
        job = prepare(*arguments, rules="paper", ks=[])
        identities.append(job_identity.of(job))
        parts.write(job, Part(index, 2), workers=1)
        names = {path.name for path in (tmp_path / f"cache{index}" / "folders").rglob("*.jsonl")}
        assert len(names) == 3  # the problems, and two of four shards
    assert identities[0] == identities[1]
    forget()
    parts.merge(prepare(*arguments, rules="paper", ks=[]))
    select("--problems=problems.jsonl", "--paths=run/paths/*.jsonl", "--output=whole.jsonl", cwd=run)
    assert (tmp_path / "u.jsonl").read_bytes() == (run / "whole.jsonl").read_bytes()


def test_parts_need_a_file_system(run: Path, tmp_path: Path) -> None:
    for flag in ("--part=0/2", "--merge"):
        result = select(
            "--problems=s3://bucket/problems.jsonl", "--paths=s3://bucket/run/paths/*.jsonl",
            "--output=s3://bucket/u.jsonl", flag, cwd=tmp_path,
        )  # fmt: skip
        assert result.returncode == 2
        assert result.stderr.startswith("error: --part and --merge need an --output on a file system")


def test_files_come_in_natural_order_once_each_and_whole_names_are_literal(bucket: Path) -> None:
    for name in ("10.jsonl", "2.jsonl", "a[1].jsonl", "2.jsonl.partial"):
        (bucket / name).write_text("{}\n")
    found = find_inputs(["s3://bucket/*", "s3://bucket/2.jsonl"])
    assert found.real == ["s3://bucket/2.jsonl", "s3://bucket/10.jsonl", "s3://bucket/a[1].jsonl"]
    assert find_inputs(["s3://bucket/a[1].jsonl"]).real == ["s3://bucket/a[1].jsonl"]
    with pytest.raises(UserError, match=r"no file matches --paths=s3://bucket/z\*$"):
        find_inputs(["s3://bucket/z*"])
    with pytest.raises(UserError, match=r"no file matches --paths=s3://bucket; it is a folder, so add /\*\.jsonl"):
        find_inputs(["s3://bucket"])
