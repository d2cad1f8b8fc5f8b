"""One file per engine: how it is started, asked, read and warmed up. Everything else in the agent is the same for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead_agent.engines import vllm

if TYPE_CHECKING:
    from fairlead_agent.engines.protocol import Engine

#: The engines that agent.json may name.
ENGINES: dict[str, Engine] = {"vllm": vllm.VLLM}
