"""Words from elsewhere, made fit for a condition."""


def bounded(text: str, limit: int = 400) -> str:
    """The text on one line and no longer than that many characters. 400 hold any of the scheduler's sentences."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
