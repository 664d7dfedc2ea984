"""Buckets in a folder."""

from tests.remote.fixtures import bucket as bucket
from tests.remote.fixtures import system as system
