"""Which of a problem's right paths are selected: the paper's rules, controls of what each gives, and one's own.

A rule of one's own is a Python file that defines RULE and is named instead of a shipped one.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from rft_jax import plugin
from rft_jax.errors import UserError
from rft_jax.select.farthest import FARTHEST, NEAREST, Farthest, Sign
from rft_jax.select.graded import Graded
from rft_jax.task.equations import REFERENCE, Equations

NONE, RANDOM = "none", "random"


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
        rank: of the chosen paths, those of the lowest rank stay where there is a cap; None: those that were chosen
            first.
    """

    name: str
    choose: Callable[[Sequence[Graded], Farthest], list[Graded]]
    equations: Equations | None = None
    needs_equations: bool = True
    takes_unfit: bool = False
    bare: bool = False
    rank: Callable[[Graded], bytes] | None = None

    def choose_at_most(self, cap: int | None, paths: Sequence[Graded], farthest: Farthest) -> list[Graded]:
        """Returns what `choose` returns, in the same order, but of each problem only `cap` paths; None: all."""
        chosen = self.choose(paths, farthest)
        if cap is None or len(chosen) <= cap:
            return chosen
        if self.rank is None:
            return chosen[:cap]
        ranks = [self.rank(path) for path in chosen]
        stay = sorted(range(len(chosen)), key=ranks.__getitem__)[:cap]
        return [chosen[place] for place in sorted(stay)]


def one_for_each_list(paths: Sequence[Graded], farthest: Farthest) -> list[Graded]:
    """Returns one path for each equation list, in the order in which the lists came up: the paper, section 3.3."""
    return [paths[place] for place in _places(paths, farthest, FARTHEST)]


def one_for_each_list_in_order(paths: Sequence[Graded], farthest: Farthest, sign: Sign = FARTHEST) -> list[Graded]:
    """Returns the same paths in the order of `paths`, so that selecting from what was selected changes nothing."""
    return [paths[place] for place in sorted(_places(paths, farthest, sign))]


def _places(paths: Sequence[Graded], farthest: Farthest, sign: Sign) -> list[int]:
    return farthest.choose([(path.equations or "", path.response or "") for path in paths], sign)


def _drawn(seed: int) -> Rule:
    """Returns the rule that draws as many of a problem's paths as they have equation lists, without replacement.

    A path's lot is a hash of what it is, so the draw depends on nothing else: neither on the order or the number of
    files, processes and parts, nor on the other problems. Of fewer samples it is a draw by the same lots.
    """

    def choose(paths: Sequence[Graded], _: Farthest) -> list[Graded]:
        lists = len({path.equations for path in paths})
        drawn = sorted(range(len(paths)), key=lambda place: lot(paths[place]))[:lists]
        return [paths[place] for place in sorted(drawn)]

    lot = functools.partial(_lot, seed)
    return Rule(name=f"{RANDOM}:{seed}", choose=choose, rank=lot)


def _lot(seed: int, path: Graded) -> bytes:
    # The model's name comes last: it may hold any character.
    return hashlib.sha256(f"{seed} {path.problem} {path.sample} {path.model}".encode(errors="surrogatepass")).digest()


SHIPPED = {
    rule.name.partition(":")[0]: rule
    for rule in (
        Rule(name="paper", choose=one_for_each_list_in_order),
        Rule(name="reference", choose=one_for_each_list, equations=REFERENCE, takes_unfit=True, bare=True),
        # The paper's rule with the opposite choice within a list: what is left of its gain without the distance.
        Rule(name="nearest", choose=functools.partial(one_for_each_list_in_order, sign=NEAREST)),
        # As many right paths as the paper's rule keeps: what is left of its gain without the dedup.
        _drawn(0),
        # Every right path, whatever its equations: the paper's ablation.
        Rule(name=NONE, choose=lambda paths, _: list(paths), needs_equations=False),
    )
}


def load(reference: str) -> Rule:
    """Returns a shipped rule by its name (`random:SEED` with its seed), or the RULE of a Python file.

    Raises:
        UserError: there is none of that name, the seed is none, or the file is wrong.
    """
    name, colon, seed = reference.partition(":")
    if name == RANDOM and colon:
        if not (seed.isascii() and seed.isdecimal()):
            raise UserError(f"rules '{reference}': give random:SEED with a whole number, as in random:3")
        return _drawn(int(seed))
    if reference in SHIPPED:
        return SHIPPED[reference]
    return plugin.load(reference, "RULE", Rule, dict.fromkeys(SHIPPED, __name__))


def placed(reference: str) -> str:
    """Returns the reference in the form that means the same from any folder: `random` has its seed."""
    return plugin.placed(reference) if reference.endswith(".py") else load(reference).name


def is_shipped(reference: str) -> bool:
    """Tells whether a reference names a shipped rule, with whatever argument."""
    name, colon, _ = reference.partition(":")
    return name in SHIPPED and (name == RANDOM or not colon)


def label(reference: str) -> str:
    """Returns what to call a rule in tables: `random:3`, or the name of a file without its folder."""
    return Path(reference).stem if reference.endswith(".py") else reference


def repeats_lists(name: str) -> bool:
    """Tells whether the shipped rule of this name may select several paths with one list of equations."""
    return name.partition(":")[0] in (NONE, RANDOM)
