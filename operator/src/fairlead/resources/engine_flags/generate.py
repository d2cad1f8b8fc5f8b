"""Makes the table of an engine version's flags from the text of `vllm serve --help=all`.

    python -m fairlead.resources.engine_flags.generate HELPFILE > vllm-X.Y.json

The help is argparse's: an option's line begins with two spaces and a dash, its text is indented further. It names the flags,
their aliases and most choices; it does not name types. Those come from what the text says (JSON, human-readable integers),
from the default, and where the default is None from `_TYPES`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fairlead.resources.engine_flags.flag import Flag, Kind, Table, dumps

# Flags whose default is None or looks like another type; the types are those of the engine's configuration classes, which
# argparse converts with. What is in neither place stays a string, and any value passes.
_TYPES: dict[str, Kind] = {
    **dict.fromkeys(
        (
            "api-server-count",
            "block-size",
            "cp-kv-cache-interleave-size",
            "cpu-distributed-timeout-seconds",
            "data-parallel-rank",
            "data-parallel-rpc-port",
            "data-parallel-size-local",
            "data-parallel-start-rank",
            "distributed-timeout-seconds",
            "elastic-ep-max-dp-size",
            "grpc-port",
            "mamba-block-size",
            "max-cpu-loras",
            "max-cudagraph-capture-size",
            "max-log-len",
            "max-lora-cls-labels",
            "max-num-active-seqs",
            "max-num-queued-reqs",
            "max-num-seqs",
            "max-parallel-loading-workers",
            "num-gpu-blocks-override",
            "prefix-match-unit",
            "spec-tokens",
        ),
        "int",
    ),
    **dict.fromkeys(
        ("cpu-offload-gb", "kv-offloading-size", "mm-ipc-gpu-memory-gb", "mm-processor-cache-gb", "video-pruning-rate"), "float"
    ),
    **dict.fromkeys(("default-chat-template-kwargs", "allowed-headers", "allowed-methods", "allowed-origins"), "json"),
    # A number or its name, 2 or O2.
    "optimization-level": "string",
}

_INTEGER_LISTS = frozenset({"cudagraph-capture-sizes", "numa-bind-nodes"})

# Of these the engine takes any other value for the path of a Python object, and loads it: what it suggests is all there is.
_CLOSED = frozenset({"distributed-executor-backend"})

_OPTION = re.compile(r"  (-.+?)(?:  +.*|$)")
_NAMES = re.compile(r"(?:^|, )(-{1,2}[A-Za-z0-9][A-Za-z0-9-]*)")
_TEXT = re.compile(r" {6,}\S|\s*$")
_CHOICES = re.compile(r"\{([^{}]+)\}")
_PLUGIN = re.compile(r" or name registered in --([a-z0-9-]+)$")


def parse(text: str) -> Table:
    """The flags in a help text; `--help` itself is none.

    Raises:
        ValueError: the text holds no options at all, or an option's line cannot be read.
    """
    flags: dict[str, Flag] = {}
    for head, body in _options(text):
        name, flag = _flag(head, body)
        if name != "help":
            flags[name] = flag
    if not flags:
        raise ValueError("the text holds no options: give the output of the engine's --help=all")
    return Table(flags)


def _options(text: str) -> list[tuple[str, str]]:
    """Each option's line and the text under it, as one line each. Usage and prose are left out."""
    options: list[tuple[str, list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("  -") and (match := _OPTION.match(line)):
            options.append((match[1], [line[match.end(1) :]]))
            inside = True
        elif inside and _TEXT.match(line):
            options[-1][1].append(line)
        else:
            inside = False
    return [(head, " ".join(" ".join(lines).split())) for head, lines in options]


def _flag(head: str, body: str) -> tuple[str, Flag]:
    """The flag of an option's line, such as `--seed SEED, -s SEED` or `--enable-x, --no-enable-x, -x`."""
    _, *parts = _NAMES.split(head)
    names = parts[::2]
    long = [name for name in names if name.startswith("--")]
    if not long:
        raise ValueError(f"cannot read the option {head!r}: it has no long flag")
    aliases = tuple(name for name in names if name not in (long[0], f"--no-{long[0][2:]}"))
    # Argparse prints the value after each name; since Python 3.13 only after the last.
    metavar = next((text for each in parts[1::2] if (text := each.strip())), "")
    name = long[0].removeprefix("--")
    return name, _typed(name, metavar, body, aliases, negatable=f"--no-{name}" in names)


def _typed(name: str, metavar: str, body: str, aliases: tuple[str, ...], *, negatable: bool) -> Flag:
    if not metavar:
        return Flag("bool", aliases=aliases, negatable=negatable)
    choices = tuple(found[1].split(",")) if (found := _CHOICES.match(metavar)) else ()
    if metavar.endswith(" ...]"):
        return Flag("list", choices=choices, aliases=aliases, integers=name in _INTEGER_LISTS)
    if choices:
        plugin = _PLUGIN.search(metavar)
        return Flag("choice", choices=choices, aliases=aliases, unless=plugin[1] if plugin else "")
    if metavar.startswith("["):
        # A suggestion, ['auto', 'hf'], or an optional value, [TOKEN]: other values pass.
        suggested = tuple(re.findall("'([^']+)'", metavar)) if name in _CLOSED else ()
        return Flag("choice" if suggested else "string", choices=suggested, aliases=aliases)
    default = found[1] if (found := re.search(r"\(default: (.*)\)$", body)) else ""
    suffix = "human-readable integers" in body
    kind = _TYPES.get(name) or _kind(body, default, suffix=suffix)
    if kind == "json":
        # What has a page in the API documentation is a class, of which the engine reads 80m in JSON as 80000000.
        return Flag(kind, aliases=aliases, suffix="API docs: " in body, array=default.startswith("["))
    return Flag(kind, aliases=aliases, suffix=suffix, words=("auto",) if suffix and "'auto'" in body else ())


def _kind(body: str, default: str, *, suffix: bool) -> Kind:
    if "valid JSON string" in body or default.startswith("{"):
        return "json"
    if suffix or re.fullmatch(r"-?\d+", default):
        return "int"
    return "float" if re.fullmatch(r"-?\d+\.\d+", default) else "string"


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  the program and one file
        sys.exit(__doc__)
    sys.stdout.write(dumps(parse(Path(sys.argv[1]).read_text("utf-8"))))
