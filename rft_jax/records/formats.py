"""What a file that is not JSON is, by its first bytes, told in words that say what to do about it."""

import codecs

_AS_LINES = "convert it to JSON lines, for example by pandas: to_json(NEW, orient='records', lines=True)"

# The first bytes, what they are the mark of, and what to do. UTF-32's marks stand before UTF-16's, which begin them.
_MARKS = (
    (b"PAR1", f"a Parquet file where JSON lines are expected; {_AS_LINES}"),
    (b"version https://git-lfs", "a Git LFS pointer in place of the data; run `git lfs pull` where it was cloned"),
    (b"\x1f\x8b", "a gzip file, compressed twice or under a wrong name; decompress it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file, compressed twice or under a wrong name; decompress it"),
    (b"BZh", "a bzip2 file; decompress it, or compress as .gz or .zst"),
    (b"\xfd7zXZ\0", "an xz file; decompress it, or compress as .gz or .zst"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet; unpack or export it"),
    (b"ARROW1", f"an Arrow file; {_AS_LINES}"),
    (b"\xff\xff\xff\xff", "an Arrow stream, as datasets.save_to_disk writes; export it by Dataset.to_json"),
    (b"SQLite format 3\0", "an SQLite database; export the table as JSON lines"),
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_LONGEST_SHOWN = 40  # characters


def foreign_format(head: bytes) -> str | None:
    """Returns what data is, and what to do about it, or None where it may be JSON.

    Args:
        head: the beginning of the file, or of a line.
    """
    for mark, told in _MARKS:
        if head.startswith(mark):
            return _encoded(told) if told.startswith("UTF") else told
    if wide := _wide_encoding(head[:4]):
        return _encoded(wide)
    start = head[:200].lstrip().removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"<"):
        return "an HTML or XML page in place of the data; download the file itself"
    if start and not start.startswith((b"{", b"[")) and _is_table(head):
        return f"not JSON but {shown_text(start)}; if this is a table (CSV, TSV), {_AS_LINES}"
    return None


def shown_text(data: bytes) -> str:
    """Returns the beginning of undecoded text, quoted, on one line."""
    return repr(data[: 4 * _LONGEST_SHOWN].split(b"\n")[0].decode(errors="replace").strip()[:_LONGEST_SHOWN])


def _encoded(encoding: str) -> str:
    return f"{encoding} text; convert it, for example by `iconv -f {encoding} -t UTF-8 FILE > NEW`"


def _wide_encoding(start: bytes) -> str | None:
    # JSON begins with two ASCII characters (RFC 4627, section 3), so NULs tell how wide a character is.
    match [byte != 0 for byte in start]:
        case [True, False, False, False]:
            return "UTF-32LE"
        case [False, False, False, True]:
            return "UTF-32BE"
        case [True, False, *_]:
            return "UTF-16LE"
        case [False, True, *_]:
            return "UTF-16BE"
    return None


def _is_table(head: bytes) -> bool:
    line = head[:1000].split(b"\n")[0].rstrip(b"\r")
    binary = any(byte < 32 and byte != ord("\t") for byte in line)
    return not binary and any(comma in line for comma in (b",", b"\t", b";"))
