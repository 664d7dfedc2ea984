"""A plan as text for the terminal."""

from rft_jax.hardware import FULL
from rft_jax.plan.plan import Plan

_GIB = 2**30


def text(plan: Plan, paper_hours: float | None = None) -> str:
    """Returns a plan for the terminal.

    Args:
        plan: to show.
        paper_hours: that the paper took, on A100-80GBs.
    """
    step, target = plan.step, plan.target
    devices = len(target.devices)
    lines = [
        f"{'fits' if plan.fits else 'does not fit'}: {step.memory / _GIB:.1f} of {plan.memory / _GIB:.1f} GiB per "
        f"device (arguments {step.arguments / _GIB:.1f}, temporary {step.temporary / _GIB:.1f}; {1 - FULL:.0%} free)",
        f"mesh {mesh(plan)}, {plan.settings}; {target.described}",
    ]
    if target.vendor:
        known = target.known
        lines += [
            f"a step, per device: {step.flops:.2e} FLOPs ({plan.useful:.2e} without what is computed again), "
            f"{sum(step.moved.values()) / 1e9:.1f} GB moved in memory, sends {sent(plan)}",
            f"at least {_seconds(plan.step_seconds)} per step: kernels {_seconds(step.busy)}, each the longer of "
            f"{known.best / 1e12:.0f} TFLOP/s and {known.best_bandwidth / 1e12:.2f} TB/s; "
            f"network {_seconds(step.network)}",
        ]
    else:
        lines.append(
            f"at least {_seconds(plan.step_seconds)} per step ({plan.useful * devices:.1e} FLOPs on all devices)"
        )
    paper = "" if paper_hours is None else f"; the paper took {paper_hours:,g} on A100s"
    amount, unit = plan.rate
    lines.append(
        f"the stage on GSM8K: at least {plan.stage_seconds / 60:.1f} min ({plan.steps:,.0f} steps of {amount:,.0f} "
        f"{unit}), "
        f"{plan.device_hours:.2f} device hours{paper}; good programs take one and a half to two times that"
    )
    return "\n".join([*lines, plan.note] if plan.note else lines)


def mesh(plan: Plan) -> str:
    """Returns the mesh of a plan, without the axes that split nothing."""
    split = [f"{axis} {size}" for axis, size in plan.mesh.items() if size > 1]
    return " × ".join(split) or "of one device"


def sent(plan: Plan) -> str:
    """Returns what a device sends in a step."""
    if not plan.step.sent:
        return "nothing"
    kinds = ", ".join(f"{kind} {_gigabytes(amount)}" for kind, amount in sorted(plan.step.sent.items()))
    return (
        f"{kinds}, {_gigabytes(plan.step.abroad)} of it in collectives of several hosts" if plan.step.abroad else kinds
    )


def _gigabytes(amount: float) -> str:
    return f"{amount / 1e9:.2f} GB" if amount >= 1e7 else f"{amount / 1e6:.2f} MB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
