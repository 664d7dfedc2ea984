"""A part of a selection: a block of the problems, for one of several machines."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One of several parts, which together have all problems; the whole by default.

    Attributes:
        index: of the part, from 0.
        count: how many parts there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Returns the part that `I/N` names.

        Raises:
            ValueError: it names none; the message says why.
        """
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if match is None:
            raise ValueError("give I/N, such as 0/4 for the first of four parts")
        part = cls(*map(int, match.groups()))
        if part.count < 1:
            raise ValueError("there must be at least 1 part")
        if part.index >= part.count:
            raise ValueError(f"{part.count} parts are numbered from 0 to {part.count - 1}")
        return part

    def problems(self, total: int) -> range:
        """Returns the numbers of its problems, of `total`: none where there are more parts than problems."""
        return range(self.index * total // self.count, (self.index + 1) * total // self.count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
