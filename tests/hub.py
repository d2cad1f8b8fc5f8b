"""A model hub for tests: the part of its protocol that huggingface_hub speaks to download a model, refusals and faults included.

What it answers is what the public hub was seen to answer: a gated model's listing is open and its files are not; a stranger
gets 401 for a private model and for one that is not there alike; large files are redirected to another origin without a token.

`python -m tests.hub --host ADDRESS --port N FOLDER` serves each folder `FOLDER/org/name` as that model, and takes its settings
from `FOLDER/hub.json`, which may change while it runs: what stands there is what `Settings` has. It redirects nothing: a pod's
NetworkPolicy opens one port.
"""

import argparse
import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

LARGE = (".safetensors", ".bin")
"""What is redirected, as files in Git LFS are."""


@dataclass
class Settings:
    """What the hub does beyond serving files."""

    tokens: dict[str, list[str]] = field(default_factory=dict)
    """Token -> gated or private models that it may read."""
    gated: list[str] = field(default_factory=list)
    private: list[str] = field(default_factory=list)
    revisions: dict[str, str] = field(default_factory=dict)
    """`org/name@revision` -> commit, beside `main`."""
    cut_after: int | None = None
    """Bytes of each large file in one answer, after which the connection is cut; 0: before the first."""
    status: int = 200
    """Anything else: the answer to every request."""
    hold_at: int | None = None
    """Byte of each large file at which nothing more comes, until this is another; the connection stays."""


class Hub:
    """Models by name, each a folder of files; `asked` holds what was asked for: method, path, token."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder
        self._settings = settings
        self.asked: list[tuple[str, str, str]] = []
        self.cdn = ""
        """Origin that large files are redirected to; empty: they are not."""

    @property
    def settings(self) -> Settings:
        """Those given, or those in the file as they are now."""
        if self._settings is not None:
            return self._settings
        file = self.folder / "hub.json"
        return Settings(**json.loads(file.read_text())) if file.exists() else Settings()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/models/{org}/{name}/revision/{revision}", self._listing)
        app.router.add_get("/{org}/{name}/resolve/{revision}/{file}", self._file)
        app.router.add_get("/cdn/{org}/{name}/{commit}/{file}", self._elsewhere)
        app.middlewares.append(self._first)
        return app

    def commit(self, model: str) -> str:
        """That of `main`: it follows the files."""
        digest = hashlib.sha1(model.encode(), usedforsecurity=False)
        for file in self.files(model):
            digest.update(f"{file.name} {_etag(file)}".encode())
        return digest.hexdigest()

    def files(self, model: str) -> list[Path]:
        folder = self.folder / model
        return sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []

    @web.middleware
    async def _first(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.asked.append((request.method, request.path, token))
        settings = self.settings
        if settings.status != 200:
            return web.json_response({"error": "no"}, status=settings.status)
        if token and token not in settings.tokens:
            return _refusal(401, "", "Invalid credentials in Authorization header")
        return await handler(request)

    def _refused(self, request: web.Request, *, content: bool) -> web.Response | None:
        """Why this model is not for whoever asks; `content`: its files, not only their list."""
        settings, model = self.settings, _model(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        allowed = model in settings.tokens.get(token, [])
        if not self.files(model) or (model in settings.private and not allowed):
            return _refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        if content and model in settings.gated and not allowed:
            said = f"Access to model {model} is restricted"
            return _refusal(403 if token else 401, "GatedRepo", said)
        if self._resolved(request) is None:
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {request.match_info['revision']}")
        return None

    def _resolved(self, request: web.Request) -> str | None:
        model, revision = _model(request), request.match_info["revision"]
        head = self.commit(model)
        if revision in ("main", head):
            return head
        known = {place.partition("@")[2]: commit for place, commit in self.settings.revisions.items() if place.startswith(model)}
        return known.get(revision) or (revision if revision in known.values() else None)

    async def _listing(self, request: web.Request) -> web.Response:
        refusal = self._refused(request, content=False)
        if refusal is not None:
            return refusal
        model = _model(request)
        siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in self.files(model)]
        siblings.append({"rfilename": "original/consolidated.safetensors", "size": 10**12})
        return web.json_response({"id": model, "sha": self._resolved(request), "siblings": siblings})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refused(request, content=True)
        if refusal is not None:
            return refusal
        model, commit = _model(request), str(self._resolved(request))
        file = self.folder / model / request.match_info["file"]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_etag(file)}"'}
        if file.suffix not in LARGE:
            return web.Response(body=file.read_bytes() if request.method == "GET" else b"", headers=headers | _length(file))
        if not self.cdn:
            return await self._large(request, headers)
        linked = {"X-Linked-Etag": f'"{_etag(file)}"', "X-Linked-Size": str(file.stat().st_size)}
        location = f"{self.cdn}/cdn/{model}/{commit}/{file.name}"
        return web.Response(status=302, headers=headers | linked | {"Location": location})

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        return await self._large(request, {})

    async def _large(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        file = self.folder / _model(request) / request.match_info["file"]
        if request.method == "HEAD":
            return web.Response(headers=headers | _length(file))
        content = file.read_bytes()
        start = request.http_range.start or 0
        settings = self.settings
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = len(content) - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        end = len(content) if settings.cut_after is None else min(start + settings.cut_after, len(content))
        await response.prepare(request)
        at = start
        while at < end:
            hold = self.settings.hold_at
            until = min(at + 2**16, end if hold is None else max(hold, at), end)
            if until > at:
                await response.write(content[at:until])
                at = until
            else:
                await asyncio.sleep(0.05)
        if end < len(content) and request.transport is not None:
            request.transport.close()
        return response


def _model(request: web.Request) -> str:
    return f"{request.match_info['org']}/{request.match_info['name']}"


def _etag(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _length(file: Path) -> dict[str, str]:
    return {"Content-Length": str(file.stat().st_size)}


def _refusal(status: int, code: str, message: str) -> web.Response:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return web.json_response({"error": message}, status=status, headers=headers)


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """The hub in a thread of its own; its endpoint."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(hub.app(), access_log=None, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        for _ in range(2):
            await web.TCPSite(runner, "127.0.0.1", 0).start()

    async def stop() -> None:
        await runner.cleanup()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]  # whose client is gone
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    endpoint, hub.cdn = (f"http://{host}:{port}" for host, port in runner.addresses)
    try:
        yield endpoint
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hub", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    web.run_app(Hub(options.folder).app(), host=options.host, port=options.port, print=None)


if __name__ == "__main__":
    main()
