"""From responses to paths."""

import bisect

from rft_jax.data.encode import Encoder
from rft_jax.records.path import Logprobs, Path
from rft_jax.sample.job import Response

_LONGEST_CHARACTER = 4  # bytes of UTF-8


def path_of(response: Response, encoder: Encoder, model: str) -> Path:
    """Returns the path of a response.

    Args:
        response: its tokens; an eos token gives no text.
        encoder: says what tokens say, and which texts of its template end a response before they begin.
        model: the model's name.
    """
    tokens = response.tokens.tolist()
    said = tokens[:-1] if response.ended else tokens
    (text,) = encoder.texts([said])
    stops = encoder.template.stops
    count, finish = len(tokens), "eos" if response.ended else "length"
    if any(stop in text for stop in stops):
        # What was sampled beyond the stop is no part of the response, and does not say which stop is the first.
        count, finish = _first_stop(said, encoder), "stop"
        (text,) = encoder.texts([said[:count]])
        text = text[: min(text.index(stop) for stop in stops if stop in text)]
    told = None if response.logprobs is None else Logprobs.from_array(response.logprobs[:count])
    return Path(response.problem, response.sample, model, text, count, finish, told)


def _first_stop(tokens: list[int], encoder: Encoder) -> int:
    """Returns how many of the tokens it takes to say a stop text; all of them together do."""

    def says(count: int) -> bool:
        (text,) = encoder.texts([tokens[:count]])
        return any(stop in text for stop in encoder.template.stops)

    count = bisect.bisect(range(len(tokens)), False, key=says)
    # Where a decoder breaks line ends along with an unfinished character, the bytes of one behind a stop text hide it.
    while (earlier := next((n for n in range(max(0, count - _LONGEST_CHARACTER), count) if says(n)), None)) is not None:
        count = earlier
    return count
