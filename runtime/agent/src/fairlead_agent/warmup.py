"""Warm-up: real requests before the first client's. The first goes alone, since it pays for what a start leaves undone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fairlead_agent.http_client import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fairlead_agent.config import Warmup
    from fairlead_agent.engines.protocol import Engine, Request
    from fairlead_agent.http_client import Http

#: Seconds between attempts: doubled from the first to the last.
BACKOFF_SECONDS = (1.0, 30.0)


class WarmupError(Exception):
    """A warm-up request failed; the text holds the engine's own words."""


class Asker:
    """Sends the agent's own requests straight to the engine and counts the tokens that they make."""

    def __init__(self, http: Http, engine: Engine, engine_url: str, headers: Mapping[str, str]) -> None:
        self._http = http
        self.engine = engine
        self._url = engine_url
        self._headers = headers
        #: Generated tokens that are ours, not the clients'.
        self.own_tokens = 0

    async def ask(self, request: Request, timeout_seconds: float) -> None:
        """One request that must come back with at least one generated token.

        Raises:
            WarmupError: it came back without, was refused, or did not come back.
        """
        try:
            answer = await self._http.post(self._url + request.path, request.body, timeout_seconds, self._headers)
        except Unanswered as error:
            raise WarmupError(str(error)) from error
        body = answer.json()
        if answer.status != 200:  # noqa: PLR2004
            raise WarmupError(self.engine.error(answer.status, body))
        tokens = self.engine.tokens(body)
        self.own_tokens += tokens
        if tokens < 1:
            raise WarmupError("the engine answered without a generated token")


class WarmUp:
    """The warm-up of one engine start."""

    def __init__(self, asker: Asker, model: str, rules: Warmup, timeout_seconds: float) -> None:
        """`timeout_seconds` is that of each request: a first one can take minutes."""
        self._asker = asker
        self._model = model
        self._rules = rules
        self._timeout = timeout_seconds
        self._number = 0

    async def once(self) -> None:
        """All requests; a single smallest one where warm-up is off, because Ready needs a decode that worked.

        Raises:
            WarmupError: the first failure; the others are called off.
        """
        if not self._rules.enabled:
            await self._asker.ask(self._asker.engine.canary(self._model), self._timeout)
            return
        await self._next()
        tasks = [asyncio.create_task(self._next()) for _ in range(self._rules.requests - 1)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until_warm(self, on_failure: Callable[[str], None]) -> None:
        """Again and again with growing pauses until it works; tells every failure. The caller has the deadline."""
        pause, longest = BACKOFF_SECONDS
        while True:
            try:
                await self.once()
            except WarmupError as error:
                on_failure(str(error))
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _next(self) -> None:
        number, self._number = self._number, self._number + 1
        request = self._asker.engine.warmup(self._model, number, self._rules.prompt_tokens, self._rules.max_tokens)
        await self._asker.ask(request, self._timeout)
