"""What a stage reads from a bucket counts by the objects' versions."""

import os
from pathlib import Path

from rft_jax.pipeline.stage import fingerprint
from tests.remote.fixtures import bucket as bucket


def test_an_input_in_a_bucket(bucket: Path) -> None:
    assert fingerprint("s3://bucket/m") == "absent"
    (bucket / "m").mkdir()
    (bucket / "m" / "config.json").write_text("{}")
    first = fingerprint("s3://bucket/m")
    assert first == fingerprint("s3://bucket/m/") != "absent"
    os.utime(bucket / "m" / "config.json", (1, 1))
    assert fingerprint("s3://bucket/m") != first
    assert fingerprint("s3://bucket/m/config.json") not in (first, "absent")
