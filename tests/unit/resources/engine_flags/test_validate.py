import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.api.conditions import Reason
from fairlead.api.engine import Engine
from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS, REFUSED_JSON_KEYS
from fairlead.api.engine_values import FLAG_VALUES, KEY_VALUES, UNSERVED_VALUES, key_to_allow
from fairlead.resources.engine_flags.flag import Flag
from fairlead.resources.engine_flags.tables import VERSIONS, table
from fairlead.resources.engine_flags.validate import check_args, check_engine
from fairlead.resources.engine_flags.values import argv, list_items, problem_with, read_json

VERSION = "0.32.0"
TABLE = table(VERSION)
assert TABLE is not None
FLAGS = TABLE.flags

UNKNOWN, INVALID, REFUSED = Reason.UNKNOWN_ENGINE_FLAG, Reason.INVALID_ENGINE_FLAG_VALUE, Reason.REFUSED_ENGINE_FLAG

# Flag and value, the reason, and a piece of the message that says what to write.
WRONG: list[tuple[str, int | str, Reason, str]] = [
    ("max-num-batched-toknes", 1, UNKNOWN, "nearest are max-num-batched-tokens,"),
    ("enable-prefix-cachng", "true", UNKNOWN, "nearest are enable-prefix-caching"),
    ("zzz", 1, UNKNOWN, "the engine's --help=all lists its flags"),
    ("enforce_eager", "true", UNKNOWN, "write enforce-eager, "),
    ("--enforce-eager", "true", UNKNOWN, "write enforce-eager, "),
    ("enforce-eag", "true", UNKNOWN, "write enforce-eager, "),
    ("no-enforce-eager", "", UNKNOWN, 'to switch --enforce-eager off write enforce-eager: "false"'),
    ("cc", '{"mode": 3}', UNKNOWN, "write compilation-config, "),
    ("seed.low", 1, UNKNOWN, "--seed has no parts; write seed and its whole value"),
    ("enforce-eager", "yes", INVALID, 'write "true" or "false", in quotes'),
    ("enforce-eager", 1, INVALID, 'write "true" or "false", in quotes'),
    ("aggregate-engine-logging", "false", INVALID, "leave it out"),
    ("seed", "one", INVALID, "write one such as 16"),
    ("seed", "1k", INVALID, "write one such as 16"),
    ("seed", "", INVALID, "the flag needs a value"),
    ("seed", "1\0", INVALID, "NUL"),
    ("max-num-batched-tokens", "8X", INVALID, "such as 4096, 8k (8000) or 8K (8192)"),
    ("kv-cache-memory-bytes", "8 M", INVALID, "such as 4096, 8k (8000) or 8K (8192)"),
    ("watermark", "half", INVALID, 'such as "0.5"'),
    ("scheduling-policy", "lifo", INVALID, "none of the values that it takes: fcfs, priority"),
    ("tool-call-parser", "hermess", INVALID, "nearest are hermes"),
    ("tool-call-parser", "%%%", INVALID, "values that it takes, such as apertus"),
    ("max-lora-rank", 7, INVALID, "1, 8, 16, 32"),
    ("compilation-config", "{mode: 3}", INVALID, "write an object in quotes"),
    ("compilation-config", "3", INVALID, "write an object in quotes"),
    ("compilation-config", "[]", INVALID, "[] is JSON but not an object; write an object in quotes"),
    ("default-chat-template-kwargs", '{"a": 80m}', INVALID, "the value is not JSON"),
    ("compilation-config", '{"a": ' * 1300, INVALID, "the value is not JSON (it is nested too deeply)"),
    ("allowed-origins", "*", INVALID, "write a list in quotes"),
    ("allowed-origins", "{}", INVALID, "not a list; write a list in quotes"),
    ("cudagraph-capture-sizes", '[1, "x"]', INVALID, "not a whole number; write them in quotes, such as '[1, 2, 4]'"),
    ("collect-detailed-traces", '["all", "none"]', INVALID, "all, model, worker"),
    ("lora-modules", "[]", INVALID, "write one value, or several as JSON"),
    ("lora-modules", '["a=/models/a", "--host"]', INVALID, "would read it as a flag"),
    ("lora-modules", "-a", INVALID, "would read it as a flag"),
    ("trust-remote-code", "true", REFUSED, "add trust-remote-code to the chart's engine.allowedFlags"),
    ("trust_remote_code", "true", REFUSED, "--trust-remote-code is refused"),
    ("trust-remote", "true", REFUSED, "--trust-remote-code is refused"),
    ("no-trust-remote-code", "", REFUSED, "--trust-remote-code is refused"),
    ("profiler-config.profiler", "torch", REFUSED, "--profiler-config is refused"),
    ("tp", 2, REFUSED, "--tensor-parallel-size is set by Fairlead"),
    ("device-memory-utilization", "0.5", REFUSED, "use spec.engine.gpuMemoryUtilizationPercent"),
    (
        "structured-outputs-config",
        '{"reasoning_parser_plugin": "/models/x.py"}',
        REFUSED,
        "the key reasoning_parser_plugin is refused",
    ),
    ("structured-outputs-config.reasoning_parser_plugin", "/models/x.py", REFUSED, "the key reasoning_parser_plugin is refused"),
    ("kv-transfer-config", '{"a": [{"kv_connector_module_path": "m"}]}', REFUSED, "the key kv_connector_module_path is refused"),
    ("kv-transfer-config.kv_connector_extra_config", '{"spec_module_path": "m"}', REFUSED, "the key spec_module_path is refused"),
    ("kv-transfer-config", '{"x": {"secondary_tiers": [{"type": "C", "module_path": "m"}]}}', REFUSED, "the key module_path is"),
    ("kv-transfer-config", '{"x": {"cache_policy_module_path": "m"}}', REFUSED, "the key cache_policy_module_path is refused"),
    ("kv-transfer-config.kv_connector_module_path", "m", REFUSED, "add kv-connector-module-path to the chart's"),
    ("ec-transfer-config", '{"ec_connector_module_path": "m"}', REFUSED, "the key ec_connector_module_path is refused"),
    ("kv-transfer-config", '{"x": [{"backpressure": {"backpressure_cls": "m.C"}}]}', REFUSED, "the key backpressure_cls is"),
    ("kv-transfer-config", '{"x": [{"backpressure": {"policy_cls": "m.C"}}]}', REFUSED, "the key policy_cls is refused"),
    ("kv-transfer-config", '{"x": [{"type": "kvcr", "policy": "m.C"}]}', REFUSED, "the key policy is refused"),
    ("distributed-executor-backend", "evil.mod.Exec", REFUSED, "write one of external_launcher, mp, ray, uni, or have"),
    ("distributed-executor-backend", "mpp", REFUSED, "write one of external_launcher, mp, ray, uni, or have"),
    ("distributed-executor", "evil.mod.Exec", REFUSED, "--distributed-executor-backend is refused"),
    ("compilation-config", '{"mode": 1, "backend": "evil.mod.f"}', REFUSED, "add compilation-config-backend to the chart's"),
    ("compilation-config", '{"backend": ["inductor"]}', REFUSED, "the key backend is refused"),
    ("compilation-config.backend", "evil.mod.f", REFUSED, "write one of aot_eager, cudagraphs, eager, inductor,"),
    ("compilation-config.backend+", "inductor", REFUSED, "the key backend is refused"),
    ("compilation-config.inductor_passes.post_grad_custom_post_pass", "os.abort", REFUSED, "the key inductor_passes is refused"),
    ("compilation-config", '{"inductor_passes": {"a": "os.abort"}}', REFUSED, "the key inductor_passes is refused"),
    ("cc.backend", "evil.mod.f", UNKNOWN, "write compilation-config, "),
    ("O.backend", "evil.mod.f", UNKNOWN, "no flag --O"),
    ("-O.backend", "evil.mod.f", UNKNOWN, "no flag ---O"),
    ("optimization-level.backend", "evil.mod.f", UNKNOWN, "has no parts"),
    ("speculative-config", '{"method": "custom_class", "model": "evil.mod.Cls"}', REFUSED, "the key method is refused"),
    ("speculative-config", '{"model": "evil.mod.Cls"}', REFUSED, "the key model is refused"),
    ("speculative-config.method", "custom_class", REFUSED, "add speculative-config-method to the chart's"),
    ("speculative-config.model", "evil.Cls", REFUSED, "add speculative-config-model to the chart's"),
    ("spec-method", "custom_class", REFUSED, "into the engine; write another method, or have"),
    ("spec-model", "evil.mod.Cls", REFUSED, "write a value that is not the path of a Python object"),
]


@pytest.mark.parametrize(("name", "value", "reason", "words"), WRONG, ids=[f"{name}={value!r:.80}" for name, value, *_ in WRONG])
def test_wrong(name: str, value: int | str, reason: Reason, words: str) -> None:
    (problem,) = check_args(VERSION, {name: value}, frozenset())
    assert problem.reason is reason
    assert problem.message.startswith(f"spec.engine.args.{name}: ")
    assert words in problem.message
    # It must fit, with others, into a condition's message that people read in a terminal.
    assert len(problem.message) < 400


RIGHT: dict[str, int | str] = {
    "allowed-origins": '["https://example.com"]',
    "async-scheduling": "false",
    "compilation-config": '{"mode": 3, "cudagraph_capture_sizes": [1, 2]}',
    "compilation-config.backend": "inductor",
    "compilation-config.pass_config.fuse_norm_quant": "true",
    "cpu-offload-gb": 4,
    "cudagraph-capture-sizes": "[1, 2, 4]",
    "distributed-executor-backend": "uni",
    "enable-auto-tool-choice": "",
    "enforce-eager": "true",
    "enable-prefix-caching": "False",
    "hf-overrides": '{"rope_theta": 1e6}',
    "kv-cache-memory-bytes": "8M",
    "kv-transfer-config": '{"cpu_bytes_to_use": 80m, "x": [{"policy": "lru", "backpressure_cls": "EMABackpressureDetector"}]}',
    "load-format": "dummy",
    "lora-modules": '[{"name": "a", "path": "/models/a"}]',
    "max-lora-rank": 8,
    "max-num-batched-tokens": "25.6k",
    "optimization-level": "O2",
    "seed": -1,
    "spec-method": "ngram",
    "spec-model": "/models/draft-0.6b",
    "speculative-config": '{"method": "eagle3", "model": "/models/eagle.v2"}',
    "tool-call-parser": "hermes",
    "watermark": "0.01",
}


def test_right() -> None:
    assert check_args(VERSION, RIGHT, frozenset()) == []


def test_every_problem_in_the_order_of_the_names() -> None:
    problems = check_args(VERSION, {"zzz": 1, "seed": "x", "enforce-eager": "true", "api-key": "k"}, frozenset())
    assert [problem.message.split(":")[0] for problem in problems] == [
        "spec.engine.args.api-key",
        "spec.engine.args.seed",
        "spec.engine.args.zzz",
    ]


@pytest.mark.parametrize("flag", REFUSED_FLAGS)
def test_an_admin_can_allow_a_refused_flag(flag: str) -> None:
    values: dict[str, str] = {"bool": "true", "json": "{}"}
    value = values.get(FLAGS[flag].kind, "x")
    assert [each.reason for each in check_args(VERSION, {flag: value}, frozenset())] == [REFUSED]
    assert check_args(VERSION, {flag: value}, {flag}) == []


@pytest.mark.parametrize("flag", FLAG_VALUES)
def test_an_admin_can_allow_any_value_of_a_flag(flag: str) -> None:
    value = {"spec-method": "custom_class"}.get(flag, "evil.mod.Cls")
    assert [each.reason for each in check_args(VERSION, {flag: value}, frozenset())] == [REFUSED]
    assert check_args(VERSION, {flag: value}, {flag}) == []


@pytest.mark.parametrize(("flag", "key"), KEY_VALUES)
def test_an_admin_can_allow_any_value_of_a_key(flag: str, key: str) -> None:
    args = {f"{flag}.{key}": "custom_class" if key == "method" else "evil.mod.Cls"}
    assert [each.reason for each in check_args(VERSION, args, frozenset())] == [REFUSED]
    assert check_args(VERSION, args, {key_to_allow(flag, key)}) == []


@pytest.mark.parametrize(("flag", "value"), [(flag, value) for flag, values in UNSERVED_VALUES.items() for value in values])
def test_no_admin_can_allow_what_is_not_served(flag: str, value: str) -> None:
    (problem,) = check_args(VERSION, {flag: value}, {flag})
    assert problem.reason is REFUSED
    assert "embeddings and classifications are not served yet" in problem.message


@pytest.mark.parametrize("flag", OWNED_FLAGS)
def test_no_admin_can_allow_an_owned_flag(flag: str) -> None:
    assert [each.reason for each in check_args(VERSION, {flag: "x"}, {flag})] == [REFUSED]


@pytest.mark.parametrize("key", REFUSED_JSON_KEYS)
def test_an_admin_can_allow_a_refused_key(key: str) -> None:
    args = {"additional-config": json.dumps({"deep": [{key: "x"}]})}
    assert [each.reason for each in check_args(VERSION, args, frozenset())] == [REFUSED]
    assert check_args(VERSION, args, {key.replace("_", "-")}) == []


def test_an_admin_can_allow_a_flag_that_is_not_known() -> None:
    assert check_args(VERSION, {"of-a-fork": "x"}, {"of-a-fork"}) == []


def test_an_allowed_plugin_brings_parsers_of_its_own() -> None:
    args = {"tool-call-parser": "mine", "tool-parser-plugin": "/models/mine.py"}
    assert check_args(VERSION, args, {"tool-parser-plugin"}) == []
    assert [each.reason for each in check_args(VERSION, {"tool-call-parser": "mine"}, {"tool-parser-plugin"})] == [INVALID]


@pytest.mark.parametrize("flag", sorted(set(FLAGS) - set(OWNED_FLAGS) - set(REFUSED_FLAGS)))
def test_every_flag_of_the_table_can_be_set(flag: str) -> None:
    what = FLAGS[flag]
    examples: dict[str, int | str] = {
        "bool": "true",
        "int": 3,
        "float": "0.5",
        "json": "[]" if what.array else "{}",
        "list": "1",
    }
    refused = {"custom_class", *UNSERVED_VALUES.get(flag, ())}
    values = [value for value in what.choices or (examples.get(what.kind, "x"),) if value not in refused]
    for value in values:
        assert check_args(VERSION, {flag: value}, frozenset()) == []


def test_an_unknown_version() -> None:
    (problem,) = check_engine(Engine(version="0.1.0", args={"zzz": 1}), frozenset())
    assert problem.reason is Reason.UNSUPPORTED_ENGINE_VERSION
    assert f"write {', '.join(VERSIONS)}" in problem.message
    assert check_args("0.1.0", {}, frozenset()) == [problem]


def test_fields_that_become_flags() -> None:
    engine = Engine(dtype="bfloat16", quantization="fp8", kv_cache_dtype="fp9", args={"seed": "x"})
    assert [(each.reason, each.message.partition(": ")[0]) for each in check_engine(engine, frozenset())] == [
        (INVALID, "spec.engine.kvCacheDtype"),
        (INVALID, "spec.engine.args.seed"),
    ]
    assert check_engine(Engine(), frozenset()) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("enforce-eager", "true", ["--enforce-eager"]),
        ("enforce-eager", "", ["--enforce-eager"]),
        ("enforce-eager", "False", ["--no-enforce-eager"]),
        ("seed", "-1", ["--seed=-1"]),
        ("compilation-config", '{"a": "b c"}', ['--compilation-config={"a": "b c"}']),
        ("lora-modules", "a=/models/a", ["--lora-modules", "a=/models/a"]),
        ("lora-modules", '["a=/models/a", {"name": "b"}]', ["--lora-modules", "a=/models/a", '{"name": "b"}']),
        ("cudagraph-capture-sizes", "[1, 2]", ["--cudagraph-capture-sizes", "1", "2"]),
        ("of-a-fork", "x", ["--of-a-fork=x"]),
        ("of-a-fork", "", ["--of-a-fork"]),
    ],
)
def test_words_of_the_command_line(name: str, text: str, words: list[str]) -> None:
    assert argv(FLAGS.get(name), name, text) == words


ANY_FLAG = st.sampled_from(sorted(FLAGS))
ANY_VALUE = st.one_of(
    st.text(max_size=30),
    st.integers(),
    st.lists(st.one_of(st.text(max_size=5), st.integers(), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2))).map(
        json.dumps
    ),
)


@given(name=ANY_FLAG, value=ANY_VALUE)
def test_what_passes_is_one_flag_on_the_command_line(name: str, value: int | str) -> None:
    """Whatever is written as a value, no second flag comes of it."""
    if check_args(VERSION, {name: value}, set(REFUSED_FLAGS)):
        return
    first, *rest = argv(FLAGS[name], name, str(value))
    assert re.match(rf"--(no-)?{name}(=|$)", first)
    assert not [word for word in rest if word.startswith("-") or "\0" in word]


@given(name=st.text(max_size=40), value=ANY_VALUE)
def test_any_name_is_judged_and_none_that_the_engine_would_read_differently_passes(name: str, value: int | str) -> None:
    problems = check_args(VERSION, {name: value}, frozenset())
    assert len(problems) <= 1
    if not problems:
        assert name.partition(".")[0] in FLAGS


@given(st.integers())
def test_every_whole_number_is_an_int(number: int) -> None:
    assert problem_with(Flag("int"), str(number)) == ""


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_a_float(number: float) -> None:
    assert problem_with(Flag("float"), str(number)) == ""


@given(st.lists(st.text(min_size=1).filter(lambda item: not item.startswith("-") and "\0" not in item), min_size=1))
def test_a_list_comes_out_as_it_went_in(items: list[str]) -> None:
    text = json.dumps(items)
    assert problem_with(Flag("list"), text) == ""
    assert list_items(text) == items


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_a_list_that_is_nested_too_deeply_is_a_word() -> None:
    assert list_items("[" * 8000) == ["[" * 8000]


def test_a_refused_key_is_found_at_any_depth_that_is_read() -> None:
    for depth in range(100, 1300, 50):
        text = '{"a": ' * depth + '{"module_path": "m"}' + "}" * depth
        (problem,) = check_args(VERSION, {"additional-config": text}, frozenset())
        assert "the key module_path is refused" in problem.message or "nested too deeply" in problem.message


@given(JSON)
def test_json_is_read_as_json(value: object) -> None:
    assert read_json(Flag("json"), json.dumps(value)) == value
    assert read_json(Flag("json", suffix=True), json.dumps(value)) == value


def test_numbers_with_a_suffix_are_read_only_outside_of_words() -> None:
    flag = Flag("json", suffix=True)
    assert read_json(flag, '{"a": 80m, "80k": "1g", "b": [1.5K]}') == {"a": 80, "80k": "1g", "b": [1.5]}
