"""Which engine versions Fairlead knows, and the table of flags of each."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from fairlead.resources.engine_flags.flag import loads

if TYPE_CHECKING:
    from fairlead.resources.engine_flags.flag import Table

VERSIONS: dict[str, str] = {"0.32.0": "vllm-0.32"}
"""Version of vLLM -> its table. Patch releases share one unless their help differs."""


@cache
def table(version: str) -> Table | None:
    """The flags of a version of vLLM, or None for one that is not known."""
    name = VERSIONS.get(version)
    if name is None:
        return None
    return loads(resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8"))
