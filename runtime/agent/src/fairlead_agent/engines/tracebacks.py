"""The cause in the last words of a Python program: which of many tracebacks' last lines tells why it ended. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What vLLM writes in front of each line: the process, and for what it logs also level, time and place.
_PREFIX = re.compile(r"(?:\(\w+[^()]*pid=\d+\) ?)?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
#: A traceback's last line. A plain `Exception` says something, too.
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception)(?:: .*)?$")
#: Processes that end for want of another one say so in these words.
_NOT_THE_CAUSE = "root cause"
_MOST_CHARACTERS = 300


def cause(lines: Sequence[str]) -> str:
    """The newest error that does not only point to an earlier one, with what is indented below it; empty if there is none."""
    plain = [_PREFIX.sub("", line, count=1) for line in lines]
    for at in range(len(plain) - 1, -1, -1):
        if _ERROR.match(plain[at]) and _NOT_THE_CAUSE not in plain[at]:
            words = [plain[at]]
            for more in plain[at + 1 :]:
                if not more.startswith("  ") or more.lstrip().startswith(("File ", "For further information")):
                    break
                words.append(more.strip())
            return " ".join(words)[:_MOST_CHARACTERS]
    return ""
