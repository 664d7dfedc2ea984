"""What the texts of a file are: rows or plain text, by one rule, and blocks that cut no question."""

import pytest

from rft_jax.contamination.sources import documents
from rft_jax.errors import UserError
from rft_jax.records.plain import has_rows, pieces


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.jsonl", "text", True),
        ("a.ndjson", "text", True),
        ("a.txt", '{"a": 1}', False),
        ("a.md", "[1]: link", False),
        ("a.tex", "text", False),
        ("a.data", '\ufeff\n  {"a": 1}', True),
        ("a", "[{}]", True),
        ("a", "", False),
    ],
)
def test_the_name_or_else_the_content_tells_rows_from_text(tmp_path, name, content, rows):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert has_rows(str(tmp_path / name)) is rows


def test_only_lines_of_plain_text_are_rows(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "a.jsonl").write_text('\n{"a": "one\\ntwo"}\n')
    (text,) = documents(str(tmp_path / "a.txt"), 10)
    (row,) = documents(str(tmp_path / "a.jsonl"), 10)
    assert (text.row, text.lines, row.row, row.lines) == (1, True, 2, False)


@pytest.mark.parametrize("end", [" ", "\n"])
def test_blocks_are_short_and_hold_each_stretch_whole(tmp_path, end):
    """One line of 2 MB, or 300,000 lines: every stretch of the overlap's length is whole in some block."""
    words = [f"w{number}" for number in range(300_000)]
    (tmp_path / "a.txt").write_text(end.join(words))
    overlap, seen = 300, 0
    for block in documents(str(tmp_path / "a.txt"), overlap):
        assert len(block.text) < 200_000
        found = block.text.split()
        first = int(found[0][1:])
        assert found == words[first : first + len(found)]
        assert first == 0 or len(end.join(words[first:seen])) >= overlap
        line = block.row + block.text[: block.text.index(found[0])].count("\n")
        assert line == (first + 1 if end == "\n" else 1)
        seen = first + len(found)
    assert seen == len(words)


def test_a_byte_order_mark_is_no_text_and_bad_bytes_have_a_place(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfone\n" + "é".encode() * 70_000)  # no piece begins with half an é
    assert "".join(pieces(str(file))) == "one\n" + "é" * 70_000
    for content, place in (
        (b"one\n" + b"x" * 70_000 + b"\xe9\n", "2: not UTF-8 at byte 70001"),
        (b"\xe2\x80", "1: not"),
    ):
        file.write_bytes(content)
        with pytest.raises(UserError, match=rf"a\.txt:{place}"):
            list(pieces(str(file)))
