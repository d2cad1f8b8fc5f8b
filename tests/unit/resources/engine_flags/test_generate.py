import argparse
import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS
from fairlead.resources.engine_flags import tables
from fairlead.resources.engine_flags.flag import Flag, Table, dumps, loads
from fairlead.resources.engine_flags.generate import parse

EXCERPT = Path(__file__).with_name("help-excerpt.txt").read_text("utf-8")

EXPECTED = {
    "summary": Flag("bool"),
    "config": Flag("string"),
    "workers": Flag("int", aliases=("-w",)),
    "cache": Flag("bool", negatable=True),
    "shard": Flag("bool", aliases=("-sh",), negatable=True),
    "keys": Flag("list"),
    "traces": Flag("list", choices=("all", "some", "None")),
    "parser": Flag("choice", choices=("alpha", "beta-2"), unless="parser-plugin"),
    "parser-plugin": Flag("string"),
    "mode": Flag("string"),
    "token": Flag("string"),
    "colour": Flag("choice", choices=("red", "green", "None")),
    "rank": Flag("choice", choices=("1", "8", "16")),
    "speed": Flag("float", aliases=("--velocity",)),
    "offset": Flag("int"),
    "name": Flag("string"),
    "options": Flag("json", aliases=("-o",)),
    "settings": Flag("json", suffix=True),
    "allowed-origins": Flag("json", array=True),
    "numa-bind-nodes": Flag("list", integers=True),
    "extra": Flag("json"),
    "length": Flag("int", suffix=True),
    "limit": Flag("int", suffix=True, words=("auto",)),
    "max-num-seqs": Flag("int"),
}


def test_the_excerpt() -> None:
    assert parse(EXCERPT).flags == EXPECTED


def test_what_is_suggested_is_all_there_is_where_any_other_value_would_load_code() -> None:
    flags = parse("  --distributed-executor-backend ['mp', 'uni']\n  --mode ['mp', 'uni']\n").flags
    assert flags == {"distributed-executor-backend": Flag("choice", choices=("mp", "uni")), "mode": Flag("string")}


def test_no_flag_is_missed() -> None:
    """As many as a plain search finds: an option's line begins with exactly two spaces and two dashes."""
    assert len(parse(EXCERPT).flags) == len(re.findall(r"^  --[a-z]", EXCERPT, re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "words"), [("", "no options"), ("usage: x\n\nSorry.\n", "no options"), ("  -x X  short\n", "no long flag")]
)
def test_what_is_no_help_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text)


LETTERS, DIGITS = string.ascii_lowercase, string.digits
# Not st.from_regex: for each character it draws several times, and these tests would take four times as long.
PART = st.text(LETTERS + DIGITS, min_size=1, max_size=8)
NAME = st.builds(
    lambda first, parts: first + "-".join(parts), st.sampled_from(LETTERS), st.lists(PART, min_size=1, max_size=4)
).filter(lambda name: not name.startswith("no-"))
WORD = st.text(LETTERS + DIGITS + "_", min_size=1, max_size=9).filter(lambda word: not word.startswith("_"))


@st.composite
def options(draw: st.DrawFn) -> tuple[dict[str, Any], Flag]:
    """Arguments for argparse's add_argument, and the flag that its help should be read as."""
    text = draw(st.lists(WORD, max_size=20).map(" ".join))
    kind = draw(st.sampled_from(["switch", "negatable", "choice", "list", "int", "float", "string", "json"]))
    if kind == "switch":
        return {"action": "store_true", "help": text}, Flag("bool")
    if kind == "negatable":
        return {"action": argparse.BooleanOptionalAction, "help": text, "default": False}, Flag("bool", negatable=True)
    if kind == "choice":
        choices = draw(st.lists(WORD, min_size=1, max_size=9, unique=True))
        return {"choices": choices, "help": text}, Flag("choice", choices=tuple(choices))
    if kind == "list":
        return {"nargs": "+", "help": text}, Flag("list")
    if kind == "json":
        return {"help": f"{text} Should be a valid JSON string."}, Flag("json")
    default: dict[str, Any] = {"int": draw(st.integers()), "float": draw(st.sampled_from([0.5, -1.25, 3.0])), "string": "some"}
    return {"default": default[kind], "help": f"{text} (default: %(default)s)"}, Flag(kind)  # type: ignore[arg-type]  # a kind


@given(flags=st.dictionaries(NAME, options(), min_size=1, max_size=6), short=st.booleans())
def test_what_argparse_prints_is_read_back(flags: dict[str, tuple[dict[str, Any], Flag]], short: bool) -> None:  # noqa: FBT001  drawn
    # Names that need a type of their own are the engine's, not argparse's.
    parser = argparse.ArgumentParser(prog="serve", allow_abbrev=False, conflict_handler="resolve")
    group = parser.add_argument_group("Config", "Options of the model.")
    expected = {}
    for number, (name, (arguments, flag)) in enumerate(flags.items()):
        name = f"x-{name}"  # noqa: PLW2901  out of the way of argparse's --help and of the flags with a type of their own
        alias = [f"-{'abcdefgijklm'[number]}"] if short else []
        group.add_argument(f"--{name}", *alias, **arguments)
        expected[name] = Flag(flag.kind, flag.choices, tuple(alias), flag.negatable)
    assert parse(parser.format_help()).flags == expected


FLAG = st.builds(
    Flag,
    kind=st.sampled_from(["bool", "choice", "float", "int", "json", "list", "string"]),
    choices=st.lists(WORD, max_size=3).map(tuple),
    aliases=st.lists(WORD, max_size=2).map(tuple),
    negatable=st.booleans(),
    suffix=st.booleans(),
    array=st.booleans(),
    integers=st.booleans(),
    words=st.lists(WORD, max_size=2).map(tuple),
    unless=st.sampled_from(["", "plugin"]),
)


@given(st.dictionaries(NAME, FLAG, min_size=1, max_size=5))
def test_a_table_survives_its_text(flags: dict[str, Flag]) -> None:
    assert loads(dumps(Table(flags))) == Table(flags)


@pytest.mark.parametrize("name", sorted(set(tables.VERSIONS.values())))
def test_a_committed_table_is_as_it_would_be_written(name: str) -> None:
    text = Path(tables.__file__).with_name(f"{name}.json").read_text("utf-8")
    assert dumps(loads(text)) == text


@pytest.mark.parametrize("version", tables.VERSIONS)
def test_a_committed_table_has_what_fairlead_sets_and_refuses(version: str) -> None:
    """An owned or refused flag that the engine does not have would be a typing error here, or was renamed there."""
    table = tables.table(version)
    assert table is not None
    assert len(table.flags) > 300
    for flag in {**OWNED_FLAGS, **REFUSED_FLAGS, "load-format": ""}:
        # --model is hidden from the help of `serve`, which takes the model as a word without a flag.
        assert flag == "model" or flag in table.flags or table.known_by(flag), flag
    assert not [name for name in table.flags if name.startswith("no-")]


def test_an_unknown_version_has_no_table() -> None:
    assert tables.table("0.1.0") is None
