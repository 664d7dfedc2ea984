"""Which of a problem's right paths are selected: the paper's rules, and one's own.

A rule of one's own is a Python file that defines RULE and is named instead of a shipped one.
"""

import dataclasses
from collections.abc import Callable, Sequence

from rft_jax import plugin
from rft_jax.select.farthest import Farthest
from rft_jax.select.graded import Graded
from rft_jax.task.equations import REFERENCE, Equations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of selection.

    Attributes:
        name: for tables and files.
        choose: from the paths of one problem that may be selected, in the order of models and samples, and the
            distances known so far, to the paths to train on.
        equations: finds and checks the equations; None: the task's.
        needs_equations: whether a path may be selected only if its equations hold.
        takes_unfit: whether it may be selected though it ran on into another question, or is no text.
        bare: write rows as the reference does: paths in the order of reading, "query" and "response" alone.
    """

    name: str
    choose: Callable[[Sequence[Graded], Farthest], list[Graded]]
    equations: Equations | None = None
    needs_equations: bool = True
    takes_unfit: bool = False
    bare: bool = False


def one_for_each_list(paths: Sequence[Graded], farthest: Farthest) -> list[Graded]:
    """Returns one path for each equation list, in the order in which the lists came up: the paper, section 3.3."""
    return [paths[place] for place in _places(paths, farthest)]


def one_for_each_list_in_order(paths: Sequence[Graded], farthest: Farthest) -> list[Graded]:
    """Returns the same paths in the order of `paths`, so that selecting from what was selected changes nothing."""
    return [paths[place] for place in sorted(_places(paths, farthest))]


def _places(paths: Sequence[Graded], farthest: Farthest) -> list[int]:
    return farthest.choose([(path.equations or "", path.response or "") for path in paths])


SHIPPED = {
    rule.name: rule
    for rule in (
        Rule(name="paper", choose=one_for_each_list_in_order),
        Rule(name="reference", choose=one_for_each_list, equations=REFERENCE, takes_unfit=True, bare=True),
        # Every right path, whatever its equations: the paper's ablation.
        Rule(name="none", choose=lambda paths, _: list(paths), needs_equations=False),
    )
}


def load(reference: str) -> Rule:
    """Returns a shipped rule by its name, or the RULE of a Python file.

    Raises:
        UserError: there is none of that name, or the file is wrong.
    """
    if reference in SHIPPED:
        return SHIPPED[reference]
    return plugin.load(reference, "RULE", dict.fromkeys(SHIPPED, __name__), Rule)
