import argparse
import re

import pytest

from fairlead.api import generated
from fairlead.cli.main import _parser
from tests import cli_reference


def test_the_committed_page_is_up_to_date() -> None:
    assert generated.stale(cli_reference.files()) == []


@pytest.mark.parametrize("columns", ["20", "400"])
def test_the_terminal_changes_nothing(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = cli_reference.page()
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert cli_reference.page() == usual


def test_every_option_that_help_shows_is_there() -> None:
    page = cli_reference.page()
    sections = {heading: rest for heading, _, rest in (each.partition("\n") for each in page.split("\n## ")[1:])}
    assert list(sections) == ["fairlead autoscale explain", "fairlead autoscale replay"]
    for name, parser in cli_reference.commands("fairlead", _parser("fairlead")):
        shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", parser.format_help())) - {"--help"}
        assert shown == set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", sections[name]))


def test_a_row_is_what_help_would_say() -> None:
    parser = argparse.ArgumentParser(description="Does it.")
    parser.add_argument("trace", metavar="TRACE", help="one | another")
    parser.add_argument("-t", "--times", type=int, default=3, help="how often (default %(default)s)")
    parser.add_argument("--config", required=True, help="needed")
    parser.add_argument("--all", action="store_true", help="all of it")
    assert cli_reference.section("fairlead do", parser) == (
        "\n## fairlead do\n\nDoes it.\n\n```\nfairlead do TRACE --config CONFIG [--times TIMES] [--all]\n```\n\n"
        "| Argument | Meaning |\n| --- | --- |\n| `TRACE` | one \\| another |\n| `--config CONFIG` | needed |\n"
        "| `-t, --times TIMES` | how often (default 3) |\n| `--all` | all of it |\n"
    )


def test_an_option_without_help_is_told() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--new")
    with pytest.raises(ValueError, match=r"--new NEW has no help: give it one where it is added"):
        cli_reference.section("fairlead do", parser)
