"""Words from elsewhere, made fit for a condition; and those for what nobody has foreseen."""

UNFORESEEN = "this should not happen, please report it"
"""Above a traceback in the log."""


def bounded(text: str, limit: int = 400) -> str:
    """The text on one line and no longer than that many characters. 400 hold any of the scheduler's sentences."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def ends_of(text: str, limit: int = 400) -> str:
    """The first line and the end of it, on one line and no longer than that: what a program says last is why it ended."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    head = bounded(text.strip().partition("\n")[0], limit // 2)
    return f"{head} … {line[-(limit - len(head) - 3) :]}"
