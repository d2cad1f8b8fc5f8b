"""Objects of the API server as the tests read and write them: one kept connection, JSON in and out, no kubectl."""

import http.client
import json
import ssl
from typing import Any

from fairlead.reconciler.kinds import Kind
from tests.cluster.api import Api as Endpoint

Object = dict[str, Any]

NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")


class Refused(AssertionError):  # noqa: N818 - what the test sees is that the API server refused
    """The API server's answer, in its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Objects:
    """Reads and writes as a cluster admin."""

    def __init__(self, endpoint: Endpoint) -> None:
        context = ssl.create_default_context(cafile=str(endpoint.authority))
        context.load_cert_chain(str(endpoint.client.certificate), str(endpoint.client.key))
        self._connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=30, context=context)

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Object:
        """The answer; Refused where the status is not 2xx."""
        sent = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, sent, {"content-type": content_type, "user-agent": "tests"})
            answer = self._connection.getresponse()
            read = answer.read()
        except (http.client.HTTPException, OSError):
            self._connection.close()  # the next request opens it anew
            raise
        found: Object = json.loads(read) if read else {}
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise Refused(answer.status, found.get("message", ""))
        return found

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
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
