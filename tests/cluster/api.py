"""The few requests that the cluster's own commands send to its API server, with the standard library."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.pki import Pair


@dataclass(frozen=True)
class Api:
    """An API server, spoken to as one client. Each request is a connection of its own."""

    host: str
    port: int
    authority: Path
    client: Pair

    def request(self, method: str, path: str, body: Any = None, *, seconds: float = 5) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises:
            OSError: no answer (refused, timed out, or the certificates are not there or do not fit).
        """
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(str(self.client.certificate), str(self.client.key))
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=seconds, context=context)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def ready(self) -> bool:
        try:
            return self.request("GET", "/readyz", seconds=2)[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """The object or list at a path; None where it does not exist or nothing answers."""
        try:
            status, body = self.request("GET", path)
        except OSError:
            return None
        if status != http.HTTPStatus.OK:
            return None
        found: dict[str, Any] = json.loads(body)
        return found
