"""The journal of unfinished work: what is known of it, so that a restart or another worker goes on from there.

A line for each finished path, as in files of paths; then a line {"problem", "sample", "tokens"} for each sample that
is being decoded, with its token ids so far; then a line with the checksum of all before.
"""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path as FilePath

import numpy as np

from rft_jax import files
from rft_jax.records.lines import LineError, dump, parse_object
from rft_jax.records.path import Path

log = logging.getLogger(__name__)

Begun = dict[tuple[int, int], list[int]]  # problem and sample → token ids so far


def write(file: FilePath, paths: Iterable[Path], begun: Iterable[tuple[int, int, np.ndarray]]) -> None:
    """Writes a journal, whole or not at all.

    Args:
        file: of the journal.
        paths: the finished ones.
        begun: problem, sample and int32 [tokens] of the others.

    Raises:
        UserError: the disk is full or not writable.
    """
    lines = [dump(path.to_fields()) for path in paths]
    lines += [
        dump({"problem": problem, "sample": sample, "tokens": tokens.tolist()}) for problem, sample, tokens in begun
    ]
    content = b"".join(lines)
    with files.whole_file(file) as temporary:
        temporary.write_bytes(content + dump({"sha256": hashlib.sha256(content).hexdigest()}))


def read(file: FilePath) -> tuple[list[Path], Begun]:
    """Returns the finished paths and the tokens of the begun ones; none where there is no journal or a damaged one."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return [], {}
    except OSError as error:
        log.warning("cannot read %s (%s): ignored", file, error.strerror)
        return [], {}
    *lines, last = content.splitlines(keepends=True) or [b""]
    if last != dump({"sha256": hashlib.sha256(b"".join(lines)).hexdigest()}):
        log.warning("%s does not match its checksum: ignored, its paths are sampled anew", file)
        return [], {}
    paths: list[Path] = []
    begun: Begun = {}
    try:
        for fields in map(parse_object, lines):
            if isinstance(fields["tokens"], list):
                begun[fields["problem"], fields["sample"]] = fields["tokens"]
            else:
                paths.append(Path.from_fields(fields, None))
    except (LineError, KeyError) as error:
        log.warning("%s is no journal of this version (%s): ignored, its paths are sampled anew", file, error)
        return [], {}
    return paths, begun


def mean_begun(folder: FilePath) -> float:
    """Returns how many tokens the begun samples in a folder's journals have, on average; 0 if there are none."""
    lengths = [len(tokens) for file in folder.glob("*.journal") for tokens in read(file)[1].values()]
    return sum(lengths) / max(1, len(lengths))
