"""The text of a policy, NAME, NAME=NUMBER or NAME=NUMBER:first=SAMPLES: read, and refused, here alone."""

import decimal

from rft_jax.budget.policies import (
    FIRST,
    GOAL,
    Boundary,
    Correct,
    Distinct,
    Policy,
    Proportional,
    Tokens,
    Uniform,
)
from rft_jax.errors import UserError, did_you_mean

FORMS = {
    "uniform": "uniform[=N]",
    "distinct": "distinct=N",
    "correct": "correct=N",
    "proportional": "proportional[=N][:first=K0]",
    "boundary": "boundary[=N][:first=K0]",
    "tokens": "tokens=T[:first=K0]",
}
_WITH_FIRST = ("proportional", "boundary", "tokens")
_MOST = 10**18


def parse(text: str, k: int, problems: int | None = None) -> Policy:
    """Returns the policy of a text.

    Args:
        text: as in `distinct=4`, `proportional`, `boundary=32:first=8` or `tokens=2e6`.
        k: the most samples of a problem.
        problems: how many there are, None if that is not known yet.

    Raises:
        UserError: there is no such policy, or it cannot be kept with k samples or so many problems.
    """
    head, colon, tail = text.partition(":")
    name, equals, value = head.partition("=")
    if name not in FORMS:
        raise UserError(f"budget '{text}'{did_you_mean(name, FORMS)}: give {', '.join(FORMS.values())}")
    wrong = UserError(f"budget '{text}': give {FORMS[name]}, with positive whole numbers")
    number = _number(value) if equals else None
    if equals and number is None:
        raise wrong
    first = FIRST
    if colon:
        label, _, given = tail.partition("=")
        found = _number(given)
        if name not in _WITH_FIRST or label != "first" or found is None:
            raise wrong
        first = found
    if name in _WITH_FIRST and first > k:
        raise UserError(
            f"budget '{text}': k = {k} is below the first pass of {first} samples: give a larger k, or a smaller pass, "
            f"as in {head}:first={k}"
        )
    if name != "tokens" and number is not None and number > k:
        raise UserError(f"budget '{text}': there are at most k = {k} samples of a problem: give at most {name}={k}")
    policy: Policy
    match name, number:
        case "uniform", _:
            policy = Uniform(k, number or k)
        case "distinct", int():
            policy = Distinct(k, number)
        case "correct", int():
            policy = Correct(k, number)
        case "proportional", _:
            policy = Proportional(k, first, number or min(GOAL, k))
        case "boundary", _:
            if number is not None and number < first:
                raise UserError(f"budget '{text}': it is below the first pass of {first} samples: give at least those")
            policy = Boundary(k, first, number or k)
        case "tokens", int():
            policy = Tokens(k, first, number)
            if problems is not None and number < problems * first:
                raise UserError(
                    f"budget '{text}': a first pass of {first} samples of each of {problems:,} problems is more than "
                    f"so many tokens even if each is one token long: give many more than tokens={problems * first}"
                )
        case _:
            raise wrong
    return policy


def _number(text: str) -> int | None:
    """Returns a positive whole number such as 4, 2000000 or 2e6, None for any other text."""
    if not text.isascii() or len(text) > 30 or text.strip() != text:
        return None
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return None
    if not value.is_finite() or not 1 <= value <= _MOST or value != value.to_integral_value():
        return None
    return int(value)
