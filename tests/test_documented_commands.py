"""The commands in the documentation can be typed: flags, configs and fields exist, by the commands' own parsers."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rft_jax import config, config_flag

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "BUILD.md", *(str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("configs/**/*.md")))]
DOCSTRINGS = [str(file.relative_to(ROOT)) for file in sorted(ROOT.glob("configs/**/*.py"))]

# Parses each command line of its input as its program would, and tells what is wrong with it. No program is run.
PARSE = """
import json, runpy, sys
from absl import flags
from rft_jax.config_flag import ConfigFlag
from rft_jax.errors import UserError

known = set(flags.FLAGS)
for program, commands in json.load(sys.stdin).items():
    module = runpy.run_path(program)
    configs = [value for value in module.values() if isinstance(value, ConfigFlag)]
    for place, command in commands:
        for config in configs:
            config._overrides.clear()
        for name in set(flags.FLAGS) - known:
            flags.FLAGS[name].unparse()
        try:
            left = command
            for config in configs:
                left = config.take_overrides(left)
            left = flags.FLAGS([program, *left])
            assert len(left) == 1, f"what is {left[1:]}?"
            for config in configs:
                if config.given and "…" not in config.arguments()[0]:
                    config.read()
        except (AssertionError, UserError, flags.Error) as error:
            print(f"{place}: {program} {' '.join(command)}: {error}")
    for name in set(flags.FLAGS) - known:
        delattr(flags.FLAGS, name)
"""


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the program and the arguments of each command: in indented lines, and between backticks."""
    text = re.sub(r"\\\n\s*", "", text)  # a backslash at the end of a line
    lines = re.findall(r"^ {4}(?:python )?(launch/\w+\.py) +(.*)$", text, re.MULTILINE)
    spans = re.findall(r"`(?:python\s+)?(launch/\w+\.py)\s+([^`]*)`", text)
    for program, rest in [*lines, *spans]:
        # A remark stands behind two spaces, what the shell does behind a sign.
        rest = re.split(r" {2,}| [>|&#]", rest)[0]
        # [--flag=a|b|…] may be left out, and one of its values is as good as another.
        rest = re.sub(r"\[(--[^\]]*)\]", r"\1", rest)
        rest = re.sub(r"(--[\w.]+=\w+)\|[^\s]*", r"\1", rest)
        yield program, [argument for argument in shlex.split(rest) if argument != "…"]


def test_flags_and_fields_of_every_command_are_known():
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for page in [*PAGES, *DOCSTRINGS]:
        for program, arguments in commands((ROOT / page).read_text(encoding="utf-8")):
            if arguments not in [other for _, other in found.setdefault(program, [])]:
                found[program].append((page, arguments))
    assert sum(map(len, found.values())) > 50
    assert len(found) >= 11
    done = subprocess.run(
        [sys.executable, "-c", PARSE], input=json.dumps(found), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_fields_named_in_text_exist():
    """`--config.FIELD` in the README and beside the configs; BUILD.md tells of old ones, too."""
    schemas = (config.TrainConfig, config.SampleConfig, config.EvaluateConfig, config.PipelineConfig)
    fields = {field for schema in schemas for field in config_flag._field_names(schema)} | {"field"}
    for page in [*(page for page in PAGES if page != "BUILD.md"), *DOCSTRINGS]:
        named = re.findall(r"--config\.([\w.]*\w)", (ROOT / page).read_text(encoding="utf-8"))
        assert set(named) <= fields, page


def test_files_named_in_text_exist():
    for page in [*PAGES, *DOCSTRINGS]:
        named = re.findall(r"(?:tests|configs|launch|rft_jax)/[\w/]+\.(?:py|sh|md)\b", (ROOT / page).read_text("utf-8"))
        assert [name for name in named if not (ROOT / name).exists() and "NAME" not in name] == [], page
