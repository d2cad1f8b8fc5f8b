"""HTTP to the engine and the sidecar, both on loopback."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

#: The most that is read of an answer: a metrics page of vLLM has 54 KB.
_MOST_BYTES = 8 * 2**20


class Unanswered(Exception):  # noqa: N818 # what happened, not a fault of ours
    """No answer: refused, broken off, or too late (`timed_out`)."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whatever its status."""

    status: int
    text: str

    def json(self) -> Any:
        """The body as JSON, or as text if it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text[:200]


class Http(Protocol):
    """What the agent needs of HTTP. Timeouts in seconds, of the whole exchange."""

    async def get(self, url: str, timeout: float) -> Answer:  # noqa: ASYNC109 # HTTP answers late in its own way: Unanswered
        """Raises Unanswered."""

    async def post(self, url: str, body: Any, timeout: float, headers: Mapping[str, str] | None = None) -> Answer:  # noqa: ASYNC109
        """Raises Unanswered. `body` is sent as JSON, None as no body."""


class HttpClient:
    """Http over aiohttp. A connection per request: a kept one may be closed by the engine just when it is used again."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # no limit: warm-up sends up to 256 requests at once, and a probe must never queue behind them
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, timeout: float) -> Answer:  # noqa: ASYNC109
        return await self._exchange("GET", url, timeout, None, None)

    async def post(self, url: str, body: Any, timeout: float, headers: Mapping[str, str] | None = None) -> Answer:  # noqa: ASYNC109
        return await self._exchange("POST", url, timeout, body, headers)

    async def _exchange(self, method: str, url: str, seconds: float, body: Any, headers: Mapping[str, str] | None) -> Answer:
        assert self._session is not None, "used outside of its context"  # noqa: S101
        try:
            async with self._session.request(
                method, url, json=body, headers=headers, timeout=aiohttp.ClientTimeout(total=seconds), allow_redirects=False
            ) as response:
                data = await response.content.read(_MOST_BYTES)
                while more := await response.content.read(_MOST_BYTES - len(data)):
                    data += more
                return Answer(response.status, data.decode(errors="replace"))
        except TimeoutError as error:
            raise Unanswered(f"no answer in {seconds:.0f} s", timed_out=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(str(error) or type(error).__name__, timed_out=False) from error
