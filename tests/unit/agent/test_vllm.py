"""vLLM's metrics page, requests and answers."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fairlead_agent.engines.vllm import VLLM

UNDER_LOAD = Path(__file__).with_name("vllm-0.32-under-load.prom").read_text()


def test_the_page_of_a_real_engine_under_load() -> None:
    sample = VLLM.sample(UNDER_LOAD)
    assert (sample.running, sample.waiting, sample.kv_cache_percent, sample.generated_tokens) == (4, 9, 6, 913)
    assert sample.counters is not None
    assert sample.counters[:4] == (265.0, 965.0, 913.0, 52.0)


def test_who_does_not_wait_for_room_is_told_apart() -> None:
    page = UNDER_LOAD.replace('reason="capacity"} 9.0', 'reason="capacity"} 7.0').replace(
        'reason="deferred"} 0.0', 'reason="deferred"} 2.0'
    )
    assert (VLLM.sample(page).waiting, VLLM.sample(page).deferred) == (9, 2)
    assert VLLM.sample(UNDER_LOAD).deferred == 0


def test_ranks_are_summed_and_the_fullest_cache_is_told() -> None:
    page = "\n".join(
        f'vllm:{name}{{engine="{rank}",model_name="m"}} {value}'
        for rank in (0, 1)
        for name, value in (
            ("num_requests_running", 2 + rank),
            ("num_requests_waiting", 5),
            ("kv_cache_usage_perc", 0.25 + rank / 2),
            ("generation_tokens_total", 100),
            ("iteration_tokens_total_count", 7),
        )
    )
    sample = VLLM.sample(page)
    assert (sample.running, sample.waiting, sample.kv_cache_percent, sample.generated_tokens) == (5, 10, 75, 200)


@pytest.mark.parametrize(
    "sign", ["iteration_tokens_total_count", "prompt_tokens_total", "kv_cache_usage_perc", "prefix_cache_queries_total"]
)
def test_any_sign_of_life_changes_the_counters(sign: str) -> None:
    lines = UNDER_LOAD.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith(f"vllm:{sign}{{")]
    lines[at] = lines[at].rpartition(" ")[0] + " 0.5"
    assert VLLM.sample("\n".join(lines)).counters != VLLM.sample(UNDER_LOAD).counters


def test_gauges_of_requests_are_no_sign_of_life() -> None:
    changed = UNDER_LOAD.replace('vllm:num_requests_running{engine="0",model_name="tiny"} 4.0', "vllm:num_requests_running 3")
    assert VLLM.sample(changed).running == 3
    assert VLLM.sample(changed).counters == VLLM.sample(UNDER_LOAD).counters


@pytest.mark.parametrize(
    "page", ["", "# HELP x y\n", "up 1\n", "\x00", "vllm:", "vllm:num_requests_running", "vllm:num_requests_running{ 1"]
)
def test_a_page_without_the_families_tells_nothing(page: str) -> None:
    sample = VLLM.sample(page)
    assert sample.counters is None
    assert (sample.running, sample.waiting, sample.generated_tokens) == (0, 0, 0)


LABEL = st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)
VALUES = st.integers(0, 10**12) | st.floats(0, 1e9) | st.sampled_from([math.nan, math.inf])


@given(st.lists(st.tuples(LABEL, VALUES), min_size=1, max_size=4, unique_by=lambda pair: pair[0]), st.booleans())
def test_reads_what_the_reference_parser_reads(rows: list[tuple[str, float]], with_time: bool) -> None:  # noqa: FBT001
    def line(label: str, value: float) -> str:
        escaped = label.replace("\\", r"\\").replace('"', r"\"")
        return f'vllm:num_requests_running{{model_name="{escaped}"}} {value}' + (" 1700000000000" if with_time else "")

    page = "# TYPE vllm:num_requests_running gauge\n" + "\n".join(line(*row) for row in rows) + "\n"
    (family,) = text_string_to_metric_families(page)
    expected = sum(each.value for each in family.samples if math.isfinite(each.value))
    assert VLLM.sample(page).running == int(expected)


@given(st.text(max_size=200))
def test_no_page_raises(page: str) -> None:
    assert VLLM.sample("vllm:kv_cache_usage_perc" + page).kv_cache_percent <= 100


def test_command_and_headers() -> None:
    assert VLLM.argv(["/models/tiny", "--port=8001"]) == ["vllm", "serve", "/models/tiny", "--port=8001"]
    assert VLLM.headers(["/models/tiny"], {}) == {}
    assert VLLM.headers([], {"VLLM_API_KEY": "k"}) == {"Authorization": "Bearer k"}
    assert VLLM.headers(["--api-key=a"], {"VLLM_API_KEY": "k"}) == {"Authorization": "Bearer a"}
    assert VLLM.headers(["--api-key", "b"], {}) == {"Authorization": "Bearer b"}


def test_warmup_requests_differ_from_their_first_word_and_have_the_asked_length() -> None:
    requests = [VLLM.warmup("m", number, 64, 16) for number in range(8)]
    prompts = [each.body["messages"][0]["content"] for each in requests]
    assert len({prompt.split()[0] for prompt in prompts}) == 8
    assert {len(prompt.split()) for prompt in prompts} == {64}
    assert {each.body["max_tokens"] for each in requests} == {16}
    assert all(each.body["ignore_eos"] for each in requests)
    assert {each.body["temperature"] for each in requests} == {0, 1}


def test_the_canary_is_one_token() -> None:
    assert VLLM.canary("m").body["max_tokens"] == 1


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ({"usage": {"completion_tokens": 3}}, 3),
        ({"usage": None}, 0),
        ({"usage": {"completion_tokens": "3"}}, 0),
        ("text", 0),
        ({}, 0),
        ([], 0),
    ],
)
def test_tokens_are_counted_from_usage_alone(answer: Any, tokens: int) -> None:
    assert VLLM.tokens(answer) == tokens


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": {"message": "too long", "code": 400}}, "HTTP 400: too long"),
        ({"detail": "Unauthorized"}, "HTTP 400: {'detail': 'Unauthorized'}"),
        ("Bad Gateway", "HTTP 400: Bad Gateway"),
    ],
)
def test_the_engine_s_own_words_are_told(answer: Any, said: str) -> None:
    assert VLLM.error(400, answer) == said
