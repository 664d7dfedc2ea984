"""The name of a file of paths that `sample` wrote: it says which problems, and mostly which samples, the file holds."""

import dataclasses
import hashlib
import re
from collections.abc import Collection

Range = tuple[int, int]  # the first, and one past the last

_NAME = re.compile(r"(\d{5,})-(\d{5,})\.(?:(\d{3,})-(\d{3,})|some-([0-9a-f]{12}))\.jsonl", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Shard:
    """The paths of one file.

    Attributes:
        problems: their range.
        samples: the range of the samples, the same of all problems; None: some samples of some of the problems, which
            the file's lines tell.
        digest: of the numbers of those; "" where the ranges tell them.
    """

    problems: Range
    samples: Range | None
    digest: str = ""

    @classmethod
    def of(cls, numbers: Collection[tuple[int, int]]) -> "Shard":
        """Returns the shard of these paths, each given by problem and sample; there is at least one, and none twice."""
        problems, samples = zip(*numbers, strict=True)
        ranges = [(min(each), max(each) + 1) for each in (problems, samples)]
        if len(numbers) == (ranges[0][1] - ranges[0][0]) * (ranges[1][1] - ranges[1][0]):
            return cls(ranges[0], ranges[1])
        told = ",".join(f"{problem}.{sample}" for problem, sample in sorted(numbers))
        return cls(ranges[0], None, hashlib.sha256(told.encode()).hexdigest()[:12])

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        first, end = self.problems
        samples = f"some-{self.digest}" if self.samples is None else f"{self.samples[0]:03}-{self.samples[1] - 1:03}"
        return f"{first:05}-{end - 1:05}.{samples}"

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
        first, last, low, high, digest = match.groups()
        problems = (int(first), int(last) + 1)
        return cls(problems, None, digest) if digest else cls(problems, (int(low), int(high) + 1))
