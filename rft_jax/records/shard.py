"""The name of a file of paths that `sample` wrote: it says which problems and samples the file holds."""

import dataclasses
import itertools
import re
from collections.abc import Collection, Iterator

Range = tuple[int, int]  # the first, and one past the last

_NAME = re.compile(r"(\d{5,})-(\d{5,})\.([\d_-]+)\.jsonl", re.ASCII)
_SAMPLES = re.compile(r"(\d+)-(\d+)", re.ASCII)
_NONE = (0, 0)
_LONGEST_STEM = 180  # characters; file systems take 255 with all that is put around it


@dataclasses.dataclass(frozen=True, order=True)
class Shard:
    """The paths of one file: of some problems in a row, each with a range of samples.

    Attributes:
        first: number of the first problem.
        samples: of each problem the range of its samples, empty for none.
    """

    first: int
    samples: tuple[Range, ...]

    @classmethod
    def rectangle(cls, problems: Range, samples: Range) -> "Shard":
        """Returns the shard of the same samples of each problem."""
        return cls(problems[0], (samples,) * (problems[1] - problems[0]))

    @property
    def problems(self) -> Range:
        """The range of the problems."""
        return self.first, self.first + len(self.samples)

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        first, end = self.problems
        if len(set(self.samples)) == 1:
            low, high = self.samples[0]
            return f"{first:05}-{end - 1:05}.{low:03}-{high - 1:03}"
        each = "_".join(f"{low}-{high - 1}" if low < high else "" for low, high in self.samples)
        return f"{first:05}-{end - 1:05}.{each}"

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.stem}.jsonl"

    @classmethod
    def from_name(cls, name: str) -> "Shard | None":
        """Returns the shard of a file's name, None if it is none."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        first, last, each = int(match[1]), int(match[2]), match[3].split("_")
        found = [_SAMPLES.fullmatch(text) for text in each]
        ranges = [_NONE if one is None else (int(one[1]), int(one[2]) + 1) for one in found]
        shard = cls(first, tuple(ranges * (last - first + 1) if len(each) == 1 else ranges))
        return shard if shard.name == name else None

    @property
    def size(self) -> int:
        """How many paths it holds."""
        return sum(high - low for low, high in self.samples)

    def numbers(self) -> Iterator[tuple[int, int]]:
        """Yields problem and sample of each path, in the order of the file's lines."""
        for problem, (low, high) in enumerate(self.samples, start=self.first):
            for sample in range(low, high):
                yield problem, sample


def covering(numbers: Collection[tuple[int, int]]) -> list[Shard]:
    """Returns few shards that hold just these paths, each given by problem and sample.

    Problems that are not neighbours may share a shard; those between have no samples in it.
    """
    ranges: dict[int, list[Range]] = {}
    for problem, of_problem in itertools.groupby(sorted(numbers), key=lambda number: number[0]):
        ranges[problem] = _runs([sample for _, sample in of_problem])
    shards: list[Shard] = []
    for place in range(max(map(len, ranges.values()), default=0)):
        each = {problem: runs[place] for problem, runs in ranges.items() if place < len(runs)}
        problems = range(min(each), max(each) + 1)
        shards += _named(Shard(problems.start, tuple(each.get(problem, _NONE) for problem in problems)))
    return shards


def _runs(numbers: list[int]) -> list[Range]:
    """Returns the ranges of ascending numbers."""
    breaks = [0, *(place for place in range(1, len(numbers)) if numbers[place] > numbers[place - 1] + 1), len(numbers)]
    return [(numbers[start], numbers[end - 1] + 1) for start, end in itertools.pairwise(breaks)]


def _named(shard: Shard) -> list[Shard]:
    """Returns the shard, or halves of it until their names fit into a folder."""
    if len(shard.stem) <= _LONGEST_STEM:
        return [shard]
    half = len(shard.samples) // 2
    parts = Shard(shard.first, shard.samples[:half]), Shard(shard.first + half, shard.samples[half:])
    return [named for part in parts if part.size for named in _named(part)]
