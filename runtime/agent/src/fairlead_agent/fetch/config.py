"""fetch.json: what the operator tells the container that downloads the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairlead_agent.engines import ENGINES
from fairlead_agent.section import ConfigError, Section

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
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(text: str) -> FetchConfig:
    """The same from text.

    Raises:
        ConfigError: it is not JSON, or a key is missing, unknown or of the wrong kind.
    """
    top = Section.of(text)
    version = top.integer("version", 0, 2**31)
    if version != VERSION:
        raise ConfigError(f"version: {version} is not known, this agent reads version {VERSION}: operator and agent do not match")
    engine = top.text("engine")
    if engine not in ENGINES:
        raise ConfigError(f"engine: {engine!r} is not known, write one of {', '.join(sorted(ENGINES))}")
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
    for section in (bind, token, top):
        if section is not None:
            section.finish()
    return config
