"""The families of problems: what they ask, how they are worded, and how they are solved.

Questions and sentences contain choices, `[buys|gets]`, and fields: `{a}` for a number, `{name}`, `{He}`, `{his}`,
`{goods}`, `{wares}`. A solution lists its steps. Which solution a gold answer takes, the order of steps and operands,
and which steps are merged, is drawn each time (`story.solve`).
"""

import dataclasses
import random
from collections.abc import Callable

from rft_jax.world.expression import Expression, parse

Numbers = dict[str, int]


@dataclasses.dataclass(frozen=True)
class Step:
    """One line of a solution.

    Attributes:
        result: name of its result; `answer` for the last step.
        expression: over the problem's numbers and earlier results.
        sentences: text of the line, with choices, and `{}` for the equation and its result.
    """

    result: str
    expression: Expression
    sentences: str


@dataclasses.dataclass(frozen=True)
class Family:
    """Problems that differ only in their numbers, names, things and wording.

    Attributes:
        name: name of the family.
        draw: draws the numbers of a problem.
        questions: alternative texts of the question.
        solutions: ways to solve it; the last step of each computes `answer`.
    """

    name: str
    draw: Callable[[random.Random], Numbers]
    questions: tuple[str, ...]
    solutions: tuple[tuple[Step, ...], ...]


def _way(*steps: tuple[str, str, str]) -> tuple[Step, ...]:
    return tuple(Step(result, parse(expression), sentences) for result, expression, sentences in steps)


# Small numbers: a model of 1 M parameters learns in minutes to add and multiply up to about 120, but not beyond.


def _shopping(rng: random.Random) -> Numbers:
    a, p, b, q = rng.randint(2, 9), rng.randint(2, 6), rng.randint(2, 9), rng.randint(2, 6)
    return {"a": a, "p": p, "b": b, "q": q, "t": a * p + b * q + rng.randint(2, 12)}


def _sharing(rng: random.Random) -> Numbers:
    k, each, lost = rng.randint(2, 6), rng.randint(3, 10), rng.randint(2, 12)
    n = rng.randint(lost + 1, k * each + lost - 2)
    return {"n": n, "g": k * each + lost - n, "l": lost, "k": k}


def _friends(rng: random.Random) -> Numbers:
    a, m = rng.randint(3, 20), rng.randint(2, 3)
    return {"a": a, "m": m, "d": rng.randint(2, min(25, a * m - 1))}


def _earnings(rng: random.Random) -> Numbers:
    h, d = rng.randint(2, 5), rng.randint(2, 4)
    w = rng.randint(3, min(9, 99 // (h * d)))
    return {"w": w, "h": h, "d": d, "s": rng.randint(2, w * h * d - 2)}


def _boxes(rng: random.Random) -> Numbers:
    r, c = rng.randint(2, 7), rng.randint(3, 7)
    e = rng.randint(2, min(12, r * c - 2))
    return {"r": r, "c": c, "e": e, "p": rng.randint(2, 3)}


def _book(rng: random.Random) -> Numbers:
    x, d, y = rng.randint(3, 9), rng.randint(2, 7), rng.randint(3, 15)
    return {"x": x, "d": d, "y": y, "P": x * d + y + rng.randint(5, 30)}


def _garden(rng: random.Random) -> Numbers:
    a, b, c, d = (rng.randint(2, 7) for _ in range(4))
    return {"a": a, "b": b, "c": c, "d": d, "e": rng.randint(2, min(15, a * b + c * d - 2))}


def _walking(rng: random.Random) -> Numbers:
    return {"s": rng.randint(2, 9), "d": rng.randint(2, 6), "y": rng.randint(2, 30)}


def _half(rng: random.Random) -> Numbers:
    half = rng.randint(6, 40)
    return {"n": 2 * half, "k": rng.randint(2, half - 3), "g": rng.randint(2, 25)}


def _buses(rng: random.Random) -> Numbers:
    s, buses, c = rng.randint(6, 16), rng.randint(2, 6), rng.randint(2, 5)
    n = max(2, (s * buses - 2) // c - rng.randint(0, 4))
    return {"c": c, "n": n, "t": s * buses - c * n, "s": s}


def _saving(rng: random.Random) -> Numbers:
    x, w, g = rng.randint(3, 9), rng.randint(2, 8), rng.randint(3, 20)
    return {"x": x, "w": w, "g": g, "C": x * w + g + rng.randint(4, 30)}


def _baking(rng: random.Random) -> Numbers:
    e, m, n = rng.randint(2, 5), rng.randint(2, 9), rng.randint(2, 9)
    return {"e": e, "m": m, "n": n, "h": rng.randint(2, e * (m + n) - 2)}


FAMILIES: tuple[Family, ...] = (
    Family(
        "shopping",
        _shopping,
        (
            "{name} [buys|gets] {a} {goods} for {p} dollars each and {b} {wares} for {q} dollars each. [{He} pays "
            "with|{He} gives the clerk] {t} dollars. How much change does {he} get?",
            "{Goods} cost {p} dollars each and {wares} cost {q} dollars each. {name} has {t} dollars and buys {a} "
            "{goods} and {b} {wares}. How many dollars [does {he} have left|are left]?",
        ),
        (
            _way(
                ("u", "a*p", "The {goods} cost {} dollars."),
                ("v", "b*q", "The {wares} cost {} dollars."),
                ("sum", "u+v", "[In all {he} pays|Together that is] {} dollars."),
                ("answer", "t-sum", "{He} has {} dollars left."),
            ),
            _way(
                ("u", "a*p", "The {goods} cost {} dollars."),
                ("v", "b*q", "The {wares} cost {} dollars."),
                ("rest", "t-u", "After the {goods} {he} has {} dollars."),
                ("answer", "rest-v", "{He} has {} dollars left."),
            ),
        ),
    ),
    Family(
        "sharing",
        _sharing,
        (
            "{name} has {n} {goods}. {He} [gets|finds] {g} more and then loses {l}. {He} puts the rest in {k} equal "
            "bags. How many {goods} are in each bag?",
            "{name} [collects|picks] {n} {goods} in the morning and {g} in the evening. {l} of them are bad. {He} "
            "shares the good ones equally among {k} friends. How many {goods} does each friend get?",
        ),
        (
            _way(
                ("sum", "n+g", "{He} has {} {goods} in all."),
                ("rest", "sum-l", "[Then {} are left|That leaves {}]."),
                ("answer", "rest/k", "Each gets {} {goods}."),
            ),
            _way(
                ("rest", "n-l", "Without the lost ones {he} has {} {goods}."),
                ("sum", "rest+g", "With the others {he} has {} {goods}."),
                ("answer", "sum/k", "Each gets {} {goods}."),
            ),
        ),
    ),
    Family(
        "friends",
        _friends,
        (
            "{name} has {a} {goods}. {other} has {m} times as many. {third} has {d} fewer than {other}. How many "
            "{goods} do they have [together|in all]?",
            "{other} has {m} times as many {goods} as {name}, who has {a}. {third} has {d} {goods} less than {other}."
            " How many {goods} are there [in total|in all]?",
        ),
        (
            _way(
                ("u", "a*m", "{other} has {} {goods}."),
                ("v", "u-d", "{third} has {} {goods}."),
                ("answer", "a+u+v", "Together they have {} {goods}."),
            ),
            _way(
                ("u", "a*m", "{other} has {} {goods}."),
                ("sum", "a+u", "{name} and {other} have {} {goods}."),
                ("v", "u-d", "{third} has {} {goods}."),
                ("answer", "sum+v", "Together they have {} {goods}."),
            ),
        ),
    ),
    Family(
        "earnings",
        _earnings,
        (
            "{name} earns {w} dollars an hour. {He} works {h} hours a day for {d} days and then spends {s} dollars. "
            "How many dollars [does {he} have left|are left]?",
            "{name} works {d} days, {h} hours [each|every] day, for {w} dollars an hour. {He} spends {s} dollars of "
            "{his} pay. How much [is left|does {he} keep]?",
        ),
        (
            _way(
                ("hours", "h*d", "{He} works {} hours."),
                ("pay", "hours*w", "{He} earns {} dollars."),
                ("answer", "pay-s", "{He} has {} dollars left."),
            ),
            _way(
                ("day", "w*h", "{He} earns {} dollars a day."),
                ("pay", "day*d", "{He} earns {} dollars."),
                ("answer", "pay-s", "{He} has {} dollars left."),
            ),
        ),
    ),
    Family(
        "boxes",
        _boxes,
        (
            "A shop has {r} boxes with {c} {goods} each. {e} {goods} are [broken|bad] and the others are sold for {p}"
            " dollars each. How many dollars does the shop [get|make]?",
            "{name} has {r} bags with {c} {goods} in each. {He} keeps {e} {goods} and sells the rest for {p} dollars "
            "each. How much does {he} [get|make]?",
        ),
        (
            _way(
                ("sum", "r*c", "There are {} {goods}."),
                ("rest", "sum-e", "[Then {} are sold|That leaves {} to sell]."),
                ("answer", "rest*p", "They bring {} dollars."),
            ),
            _way(
                ("sum", "r*c", "There are {} {goods}."),
                ("all", "sum*p", "All of them would bring {} dollars."),
                ("lost", "e*p", "The others are worth {} dollars."),
                ("answer", "all-lost", "They bring {} dollars."),
            ),
        ),
    ),
    Family(
        "book",
        _book,
        (
            "A book has {P} pages. {name} reads {x} pages a day for {d} days and {y} pages on the next day. How many "
            "pages are left?",
            "{name} reads {x} pages [each|every] day for {d} days, then {y} more pages. The book has {P} pages. How "
            "many pages [are left|does {he} still have to read]?",
        ),
        (
            _way(
                ("u", "x*d", "[First {he} reads|In those days {he} reads] {} pages."),
                ("sum", "u+y", "In all {he} reads {} pages."),
                ("answer", "P-sum", "There are {} pages left."),
            ),
            _way(
                ("u", "x*d", "[First {he} reads|In those days {he} reads] {} pages."),
                ("rest", "P-u", "Then {} pages are left."),
                ("answer", "rest-y", "There are {} pages left."),
            ),
        ),
    ),
    Family(
        "garden",
        _garden,
        (
            "{name} plants {a} rows of {b} trees and {c} rows of {d} trees. {e} trees die. How many trees are "
            "[left|alive]?",
            "A garden has {a} rows with {b} trees each and {c} rows with {d} trees each. {name} cuts down {e} trees. "
            "How many trees [are left|remain]?",
        ),
        (
            _way(
                ("u", "a*b", "[The first rows have|In the first rows are] {} trees."),
                ("v", "c*d", "[The other rows have|In the other rows are] {} trees."),
                ("sum", "u+v", "In all there are {} trees."),
                ("answer", "sum-e", "There are {} trees left."),
            ),
            _way(
                ("u", "a*b", "[The first rows have|In the first rows are] {} trees."),
                ("rest", "u-e", "Without the dead ones that is {} trees."),
                ("v", "c*d", "[The other rows have|In the other rows are] {} trees."),
                ("answer", "rest+v", "There are {} trees left."),
            ),
        ),
    ),
    Family(
        "walking",
        _walking,
        (
            "{name} walks {s} miles to school and {s} miles back on {d} days. On Sunday {he} walks {y} miles. How "
            "many miles does {he} walk [in all|in total]?",
            "School is {s} miles from home. {name} walks there and back {d} days a week and walks {y} more miles on "
            "Sunday. How many miles is that [a week|in a week]?",
        ),
        (
            _way(
                ("day", "s*2", "{He} walks {} miles a day."),
                ("week", "day*d", "On those days {he} walks {} miles."),
                ("answer", "week+y", "In all {he} walks {} miles."),
            ),
            _way(
                ("ways", "2*d", "{He} goes {} ways."),
                ("week", "ways*s", "On those days {he} walks {} miles."),
                ("answer", "week+y", "In all {he} walks {} miles."),
            ),
            _way(
                ("day", "s+s", "{He} walks {} miles a day."),
                ("week", "day*d", "On those days {he} walks {} miles."),
                ("answer", "week+y", "In all {he} walks {} miles."),
            ),
        ),
    ),
    Family(
        "half",
        _half,
        (
            "{name} has {n} {goods}. {He} gives half of them to {other} and {k} to {third}. Then {he} [buys|gets] {g}"
            " more. How many {goods} does {he} have [now|in the end]?",
            "There are {n} {goods} in a shop. Half of them are sold, and {k} more are given away. Then {g} new ones "
            "come. How many {goods} are there [now|in the end]?",
        ),
        (
            _way(
                ("half", "n/2", "Half of the {goods} are {}."),
                ("rest", "half-k", "[Then {} are left|That leaves {}]."),
                ("answer", "rest+g", "In the end there are {} {goods}."),
            ),
            _way(
                ("half", "n/2", "Half of the {goods} are {}."),
                ("gone", "half+k", "In all {} are gone."),
                ("rest", "n-gone", "[Then {} are left|That leaves {}]."),
                ("answer", "rest+g", "In the end there are {} {goods}."),
            ),
            _way(
                ("half", "n/2", "Half of the {goods} are {}."),
                ("more", "half+g", "With the new ones that is {}."),
                ("answer", "more-k", "In the end there are {} {goods}."),
            ),
        ),
    ),
    Family(
        "buses",
        _buses,
        (
            "{c} classes of {n} children and {t} teachers go by bus. A bus has {s} seats. How many buses do they need?",
            "A school has {c} classes with {n} children each. All of them and {t} teachers [go|ride] to the lake in "
            "buses with {s} seats. How many buses are full?",
        ),
        (
            _way(
                ("u", "c*n", "There are {} children."),
                ("sum", "u+t", "[In all {} people go|That is {} people]."),
                ("answer", "sum/s", "They fill {} buses."),
            ),
        ),
    ),
    Family(
        "saving",
        _saving,
        (
            "{name} wants a bike for {C} dollars. {He} saves {x} dollars a week for {w} weeks and gets {g} dollars "
            "from {his} [aunt|uncle]. How much more does {he} need?",
            "{name} saves {x} dollars [each|every] week for {w} weeks. {His} [aunt|uncle] gives {him} {g} dollars. A "
            "bike costs {C} dollars. How many dollars are missing?",
        ),
        (
            _way(
                ("u", "x*w", "{He} saves {} dollars."),
                ("sum", "u+g", "In all {he} has {} dollars."),
                ("answer", "C-sum", "{He} needs {} dollars more."),
            ),
            _way(
                ("u", "x*w", "{He} saves {} dollars."),
                ("rest", "C-g", "With the gift {he} needs {} dollars."),
                ("answer", "rest-u", "{He} needs {} dollars more."),
            ),
        ),
    ),
    Family(
        "baking",
        _baking,
        (
            "A cake needs {e} eggs. {name} bakes {m} cakes on Monday and {n} on Sunday. {He} has {h} eggs. How many "
            "more eggs does {he} need?",
            "{name} has {h} eggs. {He} wants to bake {m} cakes for {his} [aunt|uncle] and {n} for {other}, with {e} "
            "eggs in each. How many eggs are missing?",
        ),
        (
            _way(
                ("cakes", "m+n", "{He} bakes {} cakes."),
                ("eggs", "cakes*e", "They need {} eggs."),
                ("answer", "eggs-h", "{He} needs {} eggs more."),
            ),
            _way(
                ("u", "m*e", "The first cakes need {} eggs."),
                ("v", "n*e", "The other cakes need {} eggs."),
                ("eggs", "u+v", "They need {} eggs."),
                ("answer", "eggs-h", "{He} needs {} eggs more."),
            ),
        ),
    ),
)
