r"""Where the final answer of a response stands, for answers that may be any mathematics: `\boxed{…}` and its kin.

Every search is one pass over the text, whatever the text is.
"""

import re

# The longest answers of MATH have some 160 characters (matrices, piecewise functions).
MAX_CHARACTERS = 1_000
# A text without any mark is an answer only if it is nothing else: `\frac{3}{4}`, `5 cm`, `Tuesday`.
_MAX_BARE = 100
_MAX_BARE_WORDS = 3

_BOX = re.compile(r"\\f?box(?:ed)?(?![A-Za-z])")
_STRUCTURE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is none
_TOKEN = re.compile(r"[^\s$]+")
_PHRASE = re.compile(r"\banswer(?:\s{1,9}is|\s?:)(?:\s?:)?", re.IGNORECASE)
_DOLLARS = re.compile(r"\$([^$]+)\$")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


def answer_text(response: str) -> str | None:
    r"""Returns the final answer of a response as it stands there, or None.

    That is the content of the last `\boxed{…}` or `\fbox{…}` (or what follows `\boxed `, up to a space); where there is
    no box, the rest of the line after the last `####`; else after the last "answer is"; else the whole text where it is
    nothing but a short answer. A box that is not closed is an answer that was cut: None.
    """
    if boxes := [match.end() for match in _BOX.finditer(response)]:
        found = _boxed(response, boxes[-1])
    elif (start := response.rfind("####")) != -1:
        found = _line(response, start + 4)
    elif phrases := list(_PHRASE.finditer(response)):
        found = _sentence(_line(response, phrases[-1].end()))
    else:
        found = _bare(response)
    found = found.strip() if found else ""
    return found if 0 < len(found) <= MAX_CHARACTERS else None


def _boxed(text: str, start: int) -> str | None:
    """Returns what the box whose command ends at `start` holds; None where it never closes."""
    while start < len(text) and text[start].isspace():
        start += 1
    if not text.startswith("{", start):
        token = _TOKEN.match(text, start)
        return token.group() if token else None
    depth = 0
    for match in _STRUCTURE.finditer(text, start):
        depth += (match.group() == "{") - (match.group() == "}")
        if not depth:
            return text[start + 1 : match.start()]
    return None


def _line(text: str, start: int) -> str:
    line = text[start:].lstrip()
    return line.splitlines()[0] if line else ""


def _sentence(text: str) -> str:
    """Returns the answer in the rest of a sentence: its mathematics if it marks some, else all of it."""
    marked = _DOLLARS.search(text)
    return marked.group(1) if marked else text.replace("**", "")


def _bare(text: str) -> str | None:
    text = text.strip()
    if len(text) > _MAX_BARE or "\n" in text or len(_WORD.findall(text)) > _MAX_BARE_WORDS:
        return None
    return text
