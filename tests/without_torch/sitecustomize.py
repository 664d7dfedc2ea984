"""Makes the commands under test run as on a user's machine, where torch is not installed.

transformers imports torch wherever it finds it, which takes each command four seconds. tests/conftest.py puts this
folder on the path of child processes, and Python imports the module as it starts.
"""

import sys

sys.modules["torch"] = None  # what Python documents for a module that is not to be found
