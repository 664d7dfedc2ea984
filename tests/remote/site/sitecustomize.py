"""Makes s3:// a folder of this machine in a command that a test starts with this folder in PYTHONPATH."""

from tests.remote import buckets

buckets.register()
