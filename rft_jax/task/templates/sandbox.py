"""Jinja for templates that nobody vouches for: nothing is executed or opened, and rendering ends."""

from collections.abc import Iterable
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

MOST_STEPS = 100_000  # turns of loops and calls, in one prompt


class _CountedLoops(CodeGenerator):
    """Lets every loop pass what it goes through to the filter `counted`."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        for loop in list(node.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
        super().visit_Template(node, frame)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's own sandbox bounds a single `range`; this one bounds the steps of a whole prompt.

    Attributes:
        steps: taken since whoever renders set them to 0.
    """

    code_generator_class = _CountedLoops
    intercepted_binops = frozenset(["**"])

    def __init__(self) -> None:
        """Takes the settings with which transformers reads chat templates, so that one can be made of this one."""
        super().__init__(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self.filters["counted"] = _counted
        self.steps = 0

    def call(self, context: Context, called: Any, /, *args: Any, **named: Any) -> Any:
        """Calls, and counts: a macro may call itself."""
        self.count(1)
        return super().call(context, called, *args, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuses powers, which may take for ever to compute."""
        raise SecurityError(f"a template has no '{operator}'")

    def count(self, steps: int) -> None:
        """Raises SecurityError when there are too many."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise SecurityError(f"more than {MOST_STEPS:,} turns of loops and calls")


@jinja2.pass_context  # so that it is not computed once and for all when the template is compiled
def _counted(context: Context, items: Iterable[Any]) -> list[Any]:
    listed = list(items)
    assert isinstance(context.environment, Sandbox)
    context.environment.count(len(listed))
    return listed
