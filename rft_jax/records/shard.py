"""The name of a file of paths that `sample` wrote: it says which problems and samples the file holds."""

import dataclasses
import re

_NAME = re.compile(r"(\d{5,})-(\d{5,})\.(\d{3,})-(\d{3,})\.jsonl", re.ASCII)


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
    def stem(self) -> str:
        """The file's name without its ending."""
        (first, end), (low, high) = self.problems, self.samples
        return f"{first:05}-{end - 1:05}.{low:03}-{high - 1:03}"

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
        first, last, low, high = map(int, match.groups())
        return cls((first, last + 1), (low, high + 1))

    @property
    def size(self) -> int:
        """How many paths it holds."""
        return (self.problems[1] - self.problems[0]) * (self.samples[1] - self.samples[0])
