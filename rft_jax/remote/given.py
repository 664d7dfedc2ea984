"""The names that the user gave to what lies in the cache: messages have these, not the copies'."""

from pathlib import Path

_given: dict[str, str] = {}


def learn(local: Path, name: str) -> None:
    """Remembers that a file or folder stands for an object or for a folder of objects."""
    _given[str(local)] = name


def name_of(local: str) -> str:
    """Returns the name of the object that a path stands for, or the path itself."""
    for place, name in _given.items():
        if local == place or local.startswith(f"{place}/"):
            return name + local[len(place) :]
    return local


def told(message: str) -> str:
    """Returns a message with the names that the user gave."""
    for place, name in _given.items():
        message = message.replace(place, name)
    return message
