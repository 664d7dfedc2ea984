"""Buckets in a folder, and a hub in this process."""

from tests.remote.fixtures import bucket as bucket
from tests.remote.fixtures import hub as hub
from tests.remote.fixtures import no_hub as no_hub
from tests.remote.fixtures import system as system
