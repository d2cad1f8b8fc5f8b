"""A stand-in for `vllm serve` in one file: its endpoints, metrics and end, as vLLM 0.32 shows them; started as the agent's child.

Understands `serve MODEL --port=N`, and in the environment FAKE_START_SECONDS (until /health answers), FAKE_EXIT (the code to
exit with at once), FAKE_WARMUP_ERROR (the message of a 400 to every request). A chat request with `stream` sends one chunk for
each token, 0.1 s apart. SIGTERM lets what runs finish, refuses what is new, and ends with 0.
"""

import asyncio
import json
import os
import signal
import sys

from aiohttp import web

TOKEN_SECONDS = 0.1
OPTIONS = dict(argument.removeprefix("--").partition("=")[::2] for argument in sys.argv if argument.startswith("--"))


class FakeEngine:
    """The state behind the endpoints."""

    def __init__(self) -> None:
        self.running = 0
        self.tokens = 0
        self.ending = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_post("/v1/chat/completions", self.generate)
        app.router.add_post("/v1/completions", self.generate)
        return app

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def metrics(self, _: web.Request) -> web.Response:
        values = {
            "num_requests_running": self.running,
            "num_requests_waiting": 0,
            "kv_cache_usage_perc": self.running / 10,
            "generation_tokens_total": self.tokens,
            "iteration_tokens_total_count": self.tokens,
        }
        labels = '{engine="0",model_name="tiny"}'
        return web.Response(text="".join(f"vllm:{name}{labels} {value}\n" for name, value in values.items()))

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.ending.is_set():
            return web.json_response({"error": {"message": "cannot schedule new futures after shutdown"}}, status=500)
        if message := os.environ.get("FAKE_WARMUP_ERROR"):
            return web.json_response({"error": {"message": message}}, status=400)
        self.running += 1
        try:
            return await (self.stream(request, body) if body.get("stream") else self.whole(body))
        finally:
            self.running -= 1

    async def whole(self, body: dict[str, int]) -> web.Response:
        self.tokens += body["max_tokens"]
        return web.json_response({"usage": {"completion_tokens": body["max_tokens"]}})

    async def stream(self, request: web.Request, body: dict[str, int]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(body["max_tokens"]):
            await asyncio.sleep(TOKEN_SECONDS)
            self.tokens += 1
            chunk = {"choices": [{"delta": {"content": f" {number}"}}]}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


async def main() -> None:
    print(f"fake engine {' '.join(sys.argv[1:])}", flush=True)  # noqa: T201 # its log
    print(f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", file=sys.stderr, flush=True)  # noqa: T201
    if code := os.environ.get("FAKE_EXIT"):
        print("(EngineCore pid=7) ERROR 11-30 07:10:00 [core.py:1] ValueError: no layers", file=sys.stderr)  # noqa: T201
        print("RuntimeError: Engine core failed. See root cause above.", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(int(code))
    await asyncio.sleep(float(os.environ.get("FAKE_START_SECONDS", "0")))
    engine = FakeEngine()
    runner = web.AppRunner(engine.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(OPTIONS["port"])).start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.ending.set)
    await engine.ending.wait()
    while engine.running:  # noqa: ASYNC110 # vLLM looks again and again as well
        await asyncio.sleep(0.02)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
