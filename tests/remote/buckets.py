"""Buckets in a folder of this machine: s3:// without a network, s3fs or a server, also in other processes."""

import os
import time
from pathlib import Path

import fsspec
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

FOLDER = "RFT_JAX_TEST_BUCKETS"
SITE = Path(__file__).parent / "site"


class Buckets(DirFileSystem):
    """A subfolder per bucket; what is asked is counted."""

    protocol = "s3"
    cachable = False

    def __init__(self, **_: object) -> None:
        super().__init__(path=os.environ[FOLDER], fs=LocalFileSystem(auto_mkdir=True), skip_instance_cache=True)
        self.got: list[str] = []
        self.put: list[str] = []

    def get_file(self, rpath, lpath, **kwargs):
        self.got.append(rpath)
        if rpath.endswith(".endless"):
            Path(lpath).write_text("half")
            time.sleep(600)
        return super().get_file(rpath, lpath, **kwargs)

    def put_file(self, lpath, rpath, **kwargs):
        self.put.append(rpath)
        return super().put_file(lpath, rpath, **kwargs)


def register() -> None:
    """Makes `s3://` mean the folder that the environment names."""
    fsspec.register_implementation("s3", Buckets, clobber=True)
