"""Property tests here read and write files, and the machine may be busy: no limit on the time of one example."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("quick_disk", deadline=None)
settings.load_profile("quick_disk")


@pytest.fixture(scope="package", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """No test here cuts the power, and hundreds of examples each write some files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield
