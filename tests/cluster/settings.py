"""Settings files of the components."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """A file whose name holds the hash of its text.

    So a changed setting is a changed command line, and `up` restarts what runs with another one; and a file that is in
    use is never written again, which kube-proxy answers by ending itself, and containerd by reading half of it.
    """

    folder: Path
    suffix: str
    text: str

    @property
    def path(self) -> Path:
        return self.folder / f"config-{hashlib.sha256(self.text.encode()).hexdigest()[:8]}{self.suffix}"

    def write(self) -> None:
        write_whole(self.path, self.text)


def write_whole(path: Path, text: str) -> None:
    """Write a file if it does not hold this text already; a reader sees the old text or the new one."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.rename(path)
