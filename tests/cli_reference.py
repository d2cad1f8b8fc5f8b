"""docs/reference/cli.md: every command and option of the command line, from the parsers that read it.

`python -m tests.cli_reference` prints the page, `--write` writes it, `--check` says whether it is up to date. The parsers are
asked for what they know and not for their help text: that one depends on the terminal's width and on Python's version.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from fairlead.api.generated import Generated, main
from fairlead.cli.main import PLUGIN, _parser

COMMAND = "make docs"
PAGE = Path("docs/reference/cli.md")


def page() -> str:
    """The whole page."""
    sections = [section(name, parser) for name, parser in commands("fairlead", _parser("fairlead"))]
    return (
        f"<!-- Made by `{COMMAND}` from operator/src/fairlead/cli. Edit that, not this. -->\n\n"
        "# Command line\n\n"
        f"`fairlead`, or as a plugin of kubectl (`{PLUGIN}`) `kubectl fairlead`: "
        "[how to install it](../install.md#the-command-line), [what it is for](../autoscaling.md#what-it-says). Each command has "
        "`--help`. Exit status: 0 done, 2 the command line or a file that it names cannot be used, or there is no such object or "
        "no cluster; the message says which.\n"
        f"{''.join(sections)}"
    )


def commands(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Those that do something, by what is written for them, and not those that only have commands below them."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, each in action.choices.items():
            yield from commands(f"{name} {word}", each)


def section(name: str, parser: argparse.ArgumentParser) -> str:
    """One command's."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    # What must be written comes first, as one would write it.
    shown = sorted(actions, key=lambda action: (bool(action.option_strings), not action.required))
    usage = " ".join([name, *map(_usage, shown)])
    rows = "".join(f"| `{_name(action)}` | {meaning(action)} |\n" for action in shown)
    return (
        f"\n## {name}\n\n{_prose(parser.description)}```\n{usage}\n```\n\n"
        f"| Argument | Meaning |\n| --- | --- |\n{rows}{_prose(parser.epilog, before=True)}"
    )


def meaning(action: argparse.Action) -> str:
    """Its help; a cell of a table ends at a bar."""
    if not action.help:
        raise ValueError(f"{_name(action)} has no help: give it one where it is added")
    return (action.help % vars(action)).replace("|", "\\|")


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        return _value(action)
    first = f"{action.option_strings[-1]} {_value(action)}".rstrip()
    return first if action.required else f"[{first}]"


def _name(action: argparse.Action) -> str:
    return f"{', '.join(action.option_strings)} {_value(action)}".strip()


def _value(action: argparse.Action) -> str:
    """What is written for it: nothing for a switch."""
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest.upper())


def _prose(text: str | None, *, before: bool = False) -> str:
    """A paragraph, in lines as they were written, with an empty line after it or before it."""
    if not text:
        return ""
    return f"\n{text.strip()}\n" if before else f"{text.strip()}\n\n"


def files() -> tuple[Generated, ...]:
    """The committed page."""
    return (Generated(PAGE, page(), COMMAND),)


if __name__ == "__main__":
    sys.exit(main(__doc__, files))
