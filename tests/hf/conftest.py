"""The same models as in tests/model, beside transformers'."""

from tests.model.conftest import make_pair as make_pair
