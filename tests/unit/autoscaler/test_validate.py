"""The simulator's check against a real engine: its arithmetic, and itself against an engine that is the simulator's own model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from fairlead.autoscaler.simulator.engine import Model
from fairlead.cli import autoscale_replay
from tests.bench.autoscaler.validate import Client, fit, line, percentile, simulated

if TYPE_CHECKING:
    from pathlib import Path


def test_constants_are_found_again() -> None:
    alone = [(prompt, 0.013 + 0.0001 * prompt) for prompt in (8.0, 64.0, 512.0)]
    together = [(count, 0.010 + 0.001 * count) for count in (1.0, 4.0, 16.0)]
    model = fit(alone, together, 1000, 256, 2048)
    found = (model.step_base, model.step_prefill, model.step_decode, model.overhead_base)
    assert found == pytest.approx((0.010, 0.0001, 0.001, 0.003))


def test_no_constant_is_negative() -> None:
    assert line([(1.0, 2.0), (2.0, 1.0)]) == (3.0, 0.0)


def test_percentiles() -> None:
    assert [percentile(range(100), share) for share in (0.5, 0.99)] == [50, 99]
    assert percentile([7.0], 0.99) == 7.0


def test_a_lone_request_is_simulated_as_it_was_fitted() -> None:
    model = Model("m", 0.010, 0.0001, 0.001, 0.003, 0.0, 10**6)
    assert simulated(model, [(0.0, 100, 5), (1.0, 200, 5)]) == pytest.approx([0.023, 0.033], abs=1e-5)


async def test_a_client_asks_for_tokens_of_a_prompt_of_known_length() -> None:
    asked: list[dict[str, Any]] = []

    async def complete(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b'data: {"choices": [{"text": "a"}]}\n\n')
        await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/completions", complete)
    async with TestServer(app) as server, ClientSession() as session:
        timed = await Client(session, str(server.make_url("/")), "tiny").ask(17, 3)
    assert timed.tokens == 3
    assert 0 < timed.first <= timed.last
    assert (len(asked[0]["prompt"]), asked[0]["max_tokens"], asked[0]["ignore_eos"], asked[0]["model"]) == (17, 3, True, "tiny")


def test_fitted_constants_can_be_played(tmp_path: Path) -> None:
    """What --save writes is what `fairlead autoscale replay --engine FILE` reads."""
    model = fit([(8.0, 0.02), (64.0, 0.03)], [(1.0, 0.01), (4.0, 0.012)], 16_384, 4, 2048)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(asdict(model), sort_keys=False))
    assert autoscale_replay.constants(str(file)) == model
