"""What has been sampled: whole shards of problems × samples with checksums, and the settings they were made with.

A folder of paths holds:
- manifest.json: every setting that a path depends on. Other settings are refused, so that one folder is one sample.
- 00000-00031.000-049.jsonl: samples 0 to 49 of problems 0 to 31, ordered by problem and sample.
- 00000-00031.000-049.jsonl.sha256: its checksum, in the format of sha256sum, written first.
The folder itself says what is missing, so processes that share the work need not talk: part i of n is every n-th range
of problems, and the next start, with any number of parts, does what a dead one left.
"""

import dataclasses
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.records import checksum
from rft_jax.records.lines import dump
from rft_jax.records.path import Path

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
PROBLEMS_PER_SHARD = 32
SAMPLES_PER_SHARD = 50
_NAME = re.compile(r"(\d{5,})-(\d{5,})\.(\d{3,})-(\d{3,})\.jsonl")


@dataclasses.dataclass(frozen=True, order=True)
class Shard:
    """The paths of one file: both ranges as first and one past the last.

    Attributes:
        problems: of the problems' numbers.
        samples: of the samples' numbers.
    """

    problems: tuple[int, int]
    samples: tuple[int, int]

    @property
    def name(self) -> str:
        """The file's name."""
        (first, end), (low, high) = self.problems, self.samples
        return f"{first:05}-{end - 1:05}.{low:03}-{high - 1:03}.jsonl"

    @classmethod
    def from_name(cls, name: str) -> "Shard | None":
        """Returns the shard of a file's name, None if it is none."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        first, last, low, high = map(int, match.groups())
        return cls((first, last + 1), (low, high + 1))

    @property
    def size(self) -> int:
        """How many paths it holds."""
        return (self.problems[1] - self.problems[0]) * (self.samples[1] - self.samples[0])


class Ledger:
    """The folder of paths of one run, and what this process has to add to it.

    Attributes:
        missing: shards that this process has to make, ordered by problem.
        done: paths that are there, of this process's part.
        wanted: paths of this process's part.
    """

    def __init__(
        self,
        folder: FilePath,
        settings: Mapping[str, object],
        *,
        problems: int,
        k: int,
        part: int,
        parts: int,
        writer: bool = True,
    ) -> None:
        """Opens or makes the folder.

        Args:
            folder: of the paths.
            settings: everything but k that a path depends on; JSON values.
            problems: how many there are.
            k: samples wanted per problem.
            part, parts: the share of this process: part number `part`, from 0, of `parts`.
            writer: whether this process changes the folder; when several make one part together, one of them.

        Raises:
            UserError: the folder holds paths of other settings, or cannot be written.
        """
        if k < 1:
            raise UserError(f"k = {k}: sample at least 1 path per problem")
        if not 0 <= part < parts:
            raise UserError(f"part {part} of {parts}: parts are numbered from 0 to {parts - 1}")
        self._folder, self._writer = folder, writer
        if writer:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error
        self._agree(settings)
        self.missing: list[Shard] = []
        starts = range(0, problems, PROBLEMS_PER_SHARD)[part::parts]
        ranges = [(start, min(start + PROBLEMS_PER_SHARD, problems)) for start in starts]
        there = self._whole(set(ranges))
        for own in ranges:
            self.missing += _gaps(own, k, [shard for shard in there if shard.problems == own])
        self.wanted = sum(end - first for first, end in ranges) * k
        self.done = self.wanted - sum(shard.size for shard in self.missing)

    def _agree(self, settings: Mapping[str, object]) -> None:
        """Writes the manifest, or compares with the one that is there."""
        file = self._folder / MANIFEST
        if not file.exists():
            if not self._writer:
                return
            with files.whole_file(file) as temporary:
                temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{file} is not JSON ({error}); move the folder away or give another --workdir") from None
        if not isinstance(before, dict):
            raise UserError(f"{file} holds no JSON object; move the folder away or give another --workdir")
        now = json.loads(json.dumps(settings))  # tuples become lists, as in the file
        different = [
            f"{name} was {json.dumps(before.get(name))}, now {json.dumps(now.get(name))}"
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        ]
        if different:
            raise UserError(
                f"{self._folder} holds paths of other settings: {'; '.join(different)}. "
                "Give the same settings, or another --workdir"
            )

    def _whole(self, ranges: set[tuple[int, int]]) -> list[Shard]:
        """Returns the shards of these problems that are there and as they were written; sets the others aside."""
        whole = []
        for file in sorted(self._folder.glob("*.jsonl")):
            shard = Shard.from_name(file.name)
            if shard is None or shard.problems not in ranges:
                continue
            try:
                content, told = file.read_bytes(), checksum.beside(file).read_text(encoding="utf-8")
            except FileNotFoundError:
                content, told = b"", ""
            if told == checksum.line(content, file.name):
                whole.append(shard)
            elif self._writer:
                log.warning("%s does not match its checksum: set aside as .corrupt, its paths are sampled anew", file)
                file.replace(file.with_name(f"{file.name}.corrupt"))
        return whole

    def write(self, shard: Shard, paths: list[Path]) -> None:
        """Writes a shard, whole or not at all; the checksum comes first, so that a shard that is there has one.

        Does nothing in a process that is not the writer.

        Raises:
            UserError: the disk is full or not writable.
        """
        paths = sorted(paths, key=lambda path: (path.problem, path.sample))
        if [(path.problem, path.sample) for path in paths] != list(numbers(shard)):
            raise ValueError(f"{shard.name}: other paths than it should hold")
        if not self._writer:
            return
        content = b"".join(dump(path.to_fields()) for path in paths)
        file = self._folder / shard.name
        with files.whole_file(checksum.beside(file)) as temporary:
            temporary.write_text(checksum.line(content, shard.name), encoding="utf-8")
        with files.whole_file(file) as temporary:
            temporary.write_bytes(content)


def numbers(shard: Shard) -> Iterator[tuple[int, int]]:
    """Yields problem and sample of each path of a shard, in the order of its lines."""
    for problem in range(*shard.problems):
        for sample in range(*shard.samples):
            yield problem, sample


def _gaps(problems: tuple[int, int], k: int, there: list[Shard]) -> list[Shard]:
    """Returns the missing shards of a range of problems, cut at multiples of SAMPLES_PER_SHARD."""
    have = {sample for shard in there for sample in range(*shard.samples)}
    shards: list[Shard] = []
    start = None
    for sample in range(k + 1):
        lacking = sample < k and sample not in have
        if start is not None and (not lacking or sample % SAMPLES_PER_SHARD == 0):
            shards.append(Shard(problems, (start, sample)))
            start = None
        if lacking and start is None:
            start = sample
    return shards
