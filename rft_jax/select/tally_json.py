"""A tally as JSON values and back, so that the counts of a part wait in a file for the others'."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rft_jax.select.tally import Audit, Funnel, Tally


def to_json(tally: Tally) -> dict[str, Any]:
    """Returns JSON values; a count by something else than a name is a list of pairs."""
    return {field.name: _plain(getattr(tally, field.name)) for field in dataclasses.fields(tally)}


def from_json(fields: Mapping[str, Any]) -> Tally:
    """Returns the tally that `to_json` told.

    Raises:
        ValueError, TypeError, KeyError: these are other fields.
    """
    counts = dict(fields)
    counts["united"] = _funnel(counts["united"])
    counts["models"] = {model: _funnel(funnel) for model, funnel in counts["models"].items()}
    counts["audits"] = {
        name: Audit(_counter(audit["counts"]), audit["examples"]) for name, audit in counts["audits"].items()
    }
    return Tally(**counts | {name: _counter(counts[name]) for name in ("found_by", "rows")})


def _plain(value: Any) -> Any:
    if isinstance(value, Counter):
        return list(value.items())
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Funnel | Audit):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def _funnel(fields: Mapping[str, Any]) -> Funnel:
    counts: dict[str, Any] = {
        name: _counter(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Funnel(**counts)


def _counter(pairs: list[list[Any]]) -> Counter[Any]:
    return Counter({tuple(key) if isinstance(key, list) else key: count for key, count in pairs})
