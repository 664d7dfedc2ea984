"""What a library below says of an error, for a line of ours."""

_LONGEST_TOLD = 200  # characters


def one_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its kind where it has none."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # hf_xet's, of an upload, which says no more
        text = f"{text} {one_line(error.__cause__)}"
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]} …"
