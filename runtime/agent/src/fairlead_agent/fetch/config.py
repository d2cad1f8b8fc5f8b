"""fetch.json: what the operator tells the container that downloads the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairlead_agent import section
from fairlead_agent.engines import ENGINES
from fairlead_agent.section import Section

#: The one layout of fetch.json that this agent reads.
VERSION = 1
_PORTS = (1, 65535)


@dataclass(frozen=True, slots=True)
class Token:
    """Where the token is, and what the user called it."""

    file: Path
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class FetchConfig:
    """fetch.json as typed values. `folder` is for the model's files alone; what the fetcher remembers lies beside it."""

    host: str
    port: int
    command: str
    """The engine's command, whose Python has huggingface_hub."""
    repository: str
    revision: str
    endpoint: str
    folder: Path
    token: Token | None


def load(path: Path) -> FetchConfig:
    """Reads fetch.json.

    Raises:
        ConfigError: the file cannot be read or does not say what it must.
    """
    return section.load(path, parse)


def parse(text: str) -> FetchConfig:
    """The same from text.

    Raises:
        ConfigError: it is not JSON, or a key is missing, unknown or of the wrong kind.
    """
    top = Section.of(text)
    top.version(VERSION)
    engine = top.one_of("engine", ENGINES)
    bind, token = top.section("bind"), top.optional("token")
    config = FetchConfig(
        host=bind.text("host"),
        port=bind.integer("port", *_PORTS),
        command=ENGINES[engine].argv(())[0],
        repository=top.text("repository"),
        revision=top.text("revision"),
        endpoint=top.text("endpoint"),
        folder=Path(top.text("folder")),
        token=None if token is None else Token(Path(token.text("file")), token.text("secret"), token.text("key")),
    )
    for each in (bind, token, top):
        if each is not None:
            each.finish()
    return config
