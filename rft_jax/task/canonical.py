"""A coarser name of an equation list: commuted operands and the order of independent steps do not count."""


def canonical(key: str) -> str:
    """Returns the canonical name of an equation list."""
    return key
