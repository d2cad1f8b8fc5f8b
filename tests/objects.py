"""Objects of the API server as the tests read and write them: one kept connection, JSON in and out, no kubectl."""

import http.client
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fairlead.reconciler.kinds import Kind
from tests.cluster.api import Api as Endpoint

Object = dict[str, Any]

NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
IDLE_SECONDS = 60
"""The API server closes a connection on which nothing was asked for 90 s."""
ANSWER_SECONDS = 90
"""Longest that a request may take: 30 s have been seen on two cores with five other control planes."""


class Refused(AssertionError):  # noqa: N818 - what the test sees is that the API server refused
    """The API server's answer, in its own words."""

    def __init__(self, status: int, message: str, causes: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.causes = causes
        """Each with `field` and `message`, where an object was invalid."""


class Objects:
    """Reads and writes as a cluster admin."""

    def __init__(self, endpoint: Endpoint) -> None:
        context = ssl.create_default_context(cafile=str(endpoint.authority))
        context.load_cert_chain(str(endpoint.client.certificate), str(endpoint.client.key))
        self._connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=ANSWER_SECONDS, context=context)
        self._used = time.monotonic()

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Object:
        """The answer; Refused where the status is not 2xx."""
        sent = None if body is None else json.dumps(body)
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()  # the next request opens it anew
        self._used = time.monotonic()
        try:
            self._connection.request(method, path, sent, {"content-type": content_type, "user-agent": "tests"})
            answer = self._connection.getresponse()
            read = answer.read()
        except (http.client.HTTPException, OSError):
            self._connection.close()
            raise
        found: Object = json.loads(read) if read else {}
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            causes = (found.get("details") or {}).get("causes") or []
            raise Refused(answer.status, found.get("message", ""), causes)
        return found

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        try:
            return self.request("GET", kind.path(namespace, name))
        except Refused as refused:
            if refused.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def must_get(self, kind: Kind, namespace: str, name: str) -> Object:
        found = self.get(kind, namespace, name)
        assert found is not None, f"no {kind.name} {namespace}/{name}"
        return found

    def list(self, kind: Kind, namespace: str) -> list[Object]:
        items: list[Object] = self.request("GET", kind.path(namespace))["items"]
        return [{**item, "apiVersion": kind.api_version, "kind": kind.name} for item in items]

    def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        return self.request("POST", kind.path(namespace), {"apiVersion": kind.api_version, "kind": kind.name, **body})

    def merge(self, kind: Kind, namespace: str, name: str, patch: Object, subresource: str = "") -> Object:
        return self.request("PATCH", kind.path(namespace, name, subresource), patch, "application/merge-patch+json")

    def replace(self, kind: Kind, body: Object) -> Object:
        return self.request("PUT", kind.path(body["metadata"]["namespace"], body["metadata"]["name"]), body)

    def delete(self, kind: Kind, namespace: str | None, name: str, **options: Any) -> None:
        """Delete; what is gone already is no error."""
        try:
            self.request("DELETE", kind.path(namespace, name), {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except Refused as refused:
            if refused.status != http.HTTPStatus.NOT_FOUND:
                raise
