"""Property tests here read and write files, and the machine may be busy: no limit on the time of one example."""

from hypothesis import settings

settings.register_profile("reasoning", deadline=None)
settings.load_profile("reasoning")
