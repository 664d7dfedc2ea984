"""Which problems paths belong to."""

import hashlib
from collections.abc import Sequence

from rft_jax.records.problem import Problem


def of_problems(problems: Sequence[Problem]) -> dict[str, object]:
    """Returns how many problems there are, and a hash of their questions in order."""
    digest = hashlib.sha256()
    for problem in problems:
        for _, content in (*problem.history, ("user", problem.question)):
            digest.update(content.encode(errors="surrogatepass") + b"\0")
        digest.update(b"\1")
    return {"count": len(problems), "fingerprint": digest.hexdigest()[:16]}
