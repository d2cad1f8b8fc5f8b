"""JSON from the operator, parsed strictly: a key too many or of the wrong kind is named with its path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

_Parsed = TypeVar("_Parsed")


class ConfigError(Exception):
    """What the operator wrote cannot be used; the text is for people and names the key."""


def load(path: Path, parse: Callable[[str], _Parsed]) -> _Parsed:
    """What `parse` makes of a file.

    Raises:
        ConfigError: the file cannot be read or does not say what it must.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


class Section:
    """One JSON object that knows its path and which of its keys were asked for."""

    def __init__(self, raw: Any, path: str) -> None:
        if not isinstance(raw, dict):
            raise ConfigError(f"{path or 'the file'}: must be an object, not {_kind(raw)}")
        self._raw = raw
        self._path = path
        self._asked: set[str] = set()

    @classmethod
    def of(cls, text: str) -> Section:
        """The whole of a file.

        Raises:
            ConfigError: it is not JSON, or no object.
        """
        try:
            return cls(json.loads(text), "")
        except ValueError as error:
            raise ConfigError(f"not JSON: {error}") from error

    def section(self, key: str) -> Section:
        return Section(self._take(key), self._at(key))

    def optional(self, key: str) -> Section | None:
        """A section, or None where the file says null."""
        value = self._take(key)
        return None if value is None else Section(value, self._at(key))

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self._at(key)}: must be a text that is not empty, not {_kind(value)}")
        return value

    def url(self, key: str) -> str:
        value = self.text(key)
        try:
            parts = urlsplit(value)
            sound = parts.scheme == "http" and bool(parts.hostname) and parts.port is not None
        except ValueError:
            sound = False
        if not sound:
            raise ConfigError(f"{self._at(key)}: must look like http://127.0.0.1:8001, not {value!r}")
        return value.rstrip("/")

    def boolean(self, key: str) -> bool:
        value = self._take(key)
        if not isinstance(value, bool):
            raise ConfigError(f"{self._at(key)}: must be true or false, not {_kind(value)}")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ConfigError(f"{self._at(key)}: must be an integer from {low} to {high}, not {_kind(value)}")
        return value

    def version(self, known: int) -> None:
        """Raises ConfigError for another layout than the one that this agent reads."""
        version = self.integer("version", 0, 2**31)
        if version != known:
            raise ConfigError(
                f"version: {version} is not known, this agent reads version {known}: operator and agent do not match"
            )

    def one_of(self, key: str, known: Collection[str]) -> str:
        value = self.text(key)
        if value not in known:
            raise ConfigError(f"{self._at(key)}: {value!r} is not known, write one of {', '.join(sorted(known))}")
        return value

    def finish(self) -> None:
        """Raises ConfigError for keys that nobody asked for."""
        unknown = sorted(set(self._raw) - self._asked)
        if unknown:
            raise ConfigError(f"{self._at(unknown[0])}: unknown key, known here: {', '.join(sorted(self._asked))}")

    def _take(self, key: str) -> Any:
        self._asked.add(key)
        if key not in self._raw:
            raise ConfigError(f"{self._at(key)}: missing")
        return self._raw[key]

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _kind(value: Any) -> str:
    """The offending value as people would write it, cut to a readable length."""
    return json.dumps(value)[:60]
