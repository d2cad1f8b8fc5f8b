"""HTTP to Prometheus with an end: what it answers is bounded in bytes and in time as a whole.

What requests calls a timeout is one for each read, so that a byte every few seconds holds for ever; and what tenants' metrics
are called and how many series they have is the tenants' choice: 300,000 series are 38 MB, and 400 MB once they are read.

A module of its own, since requests and the library bring 15 MB along, which an operator without Prometheus does not need.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from prometheus_api_client import PrometheusConnect
from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException, SSLError, Timeout
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from fairlead.autoscaler.prometheus import UnansweredError
from fairlead.reconciler.words import bounded

if TYPE_CHECKING:
    import socket

    from requests import PreparedRequest, Response
    from urllib3 import HTTPConnectionPool

    from fairlead.autoscaler.prometheus import Query

ANSWER_SECONDS = 5.0
"""For the whole answer, from the question to the last byte. To be connected may take as long once more."""
ANSWER_BYTES = 256 * 1024
"""One answer has two series for each of 25 pods, with names of at most 253 characters: 30 KB."""
_OK = 200


def connect(url: str) -> Query:
    """A door to the Prometheus at that address."""
    session = Session()
    session.max_redirects = 0  # whoever answers at that address does not choose another one
    session.headers["Accept-Encoding"] = "identity"  # so that the bytes that are counted are those that are read
    ask: Query = PrometheusConnect(url=url, timeout=ANSWER_SECONDS, session=session).custom_query
    session.mount(url, _Adapter(max_retries=0))  # in place of the library's own
    return ask


class _Adapter(HTTPAdapter):
    """Reads answers to their end, or to their bound."""

    def get_connection_with_tls_context(self, *args: Any, **more: Any) -> HTTPConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **more)
        pool.ConnectionCls = _Https if pool.scheme == "https" else _Http
        return pool

    def send(self, request: PreparedRequest, stream: bool = False, *args: Any, **more: Any) -> Response:  # noqa: ARG002, FBT001, FBT002  requests' own form
        try:
            response = super().send(request, True, *args, **more)  # noqa: FBT003
            body = response.raw.read(ANSWER_BYTES + 1, decode_content=False)
        except (Timeout, exceptions.TimeoutError) as error:
            raise UnansweredError(f"it did not answer within {ANSWER_SECONDS:g} s") from error
        except SSLError as error:
            raise UnansweredError("its certificate is not trusted", _reason(error)) from error
        except (RequestException, exceptions.HTTPError) as error:
            raise UnansweredError("it cannot be reached", _reason(error)) from error
        if len(body) > ANSWER_BYTES:
            response.close()
            raise UnansweredError(f"its answer is longer than {ANSWER_BYTES} bytes")
        if response.is_redirect:
            raise UnansweredError("it redirects elsewhere, which is not followed")
        if response.status_code != _OK:
            raise UnansweredError(f"it answered with the HTTP status {response.status_code}", bounded(repr(body)))
        response.raw = io.BytesIO(body)
        return response


def _reason(error: Exception) -> str:
    """What is at the bottom of it: above that is the whole URL, with the names of 25 pods."""
    cause = error.args[0] if error.args else error
    return bounded(str(getattr(cause, "reason", cause)))


class _InTime(io.RawIOBase):
    """What comes out of a socket until a time, however little comes at once."""

    def __init__(self, connection: socket.socket, raw: io.RawIOBase) -> None:
        self._connection = connection
        self._raw = raw
        self._ends = time.monotonic() + ANSWER_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()  # it keeps the socket open
        super().close()


class _Answer(HTTPResponse):
    """One whose headers count as well."""

    def __init__(self, connection: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(connection, *args, **more)
        self.fp = io.BufferedReader(_InTime(connection, self.fp.detach()))


class _Http(HTTPConnection):
    response_class = _Answer


class _Https(HTTPSConnection):
    response_class = _Answer
