"""The API server refuses values of flags by which the engine would load Python code, and leaves the others alone."""

import pytest

from fairlead.api.engine_values import FLAG_VALUES, UNSERVED_VALUES, unserved_message, value_message
from tests.control_plane.conftest import Api
from tests.control_plane.test_crd_admission import accepted, dry_run, model_deployment

NAMING_CODE: list[tuple[str, int | str]] = [
    ("distributed-executor-backend", "evil.mod.Exec"),
    ("distributed-executor-backend", 3),
    ("spec-method", "custom_class"),
    ("spec-model", "evil.mod.Cls"),
]
UNSERVED = [(flag, value) for flag, values in UNSERVED_VALUES.items() for value in values]


@pytest.mark.parametrize(("flag", "value"), NAMING_CODE)
def test_a_value_that_names_code_is_refused(api: Api, flag: str, value: int | str) -> None:
    code, text = dry_run(api, model_deployment({"engine": {"args": {flag: value}}}))
    assert code != 0
    assert f"spec.engine.args: Forbidden: {value_message(f'--{flag}', FLAG_VALUES[flag], flag)}" in text


def test_values_that_name_none_are_let_through(api: Api) -> None:
    args = {
        "distributed-executor-backend": "mp",
        "runner": "generate",
        "convert": "none",
        "spec-method": "eagle3",
        "spec-model": "/models/eagle.v2",
    }
    accepted(api, model_deployment({"engine": {"args": args}}))


@pytest.mark.parametrize(("flag", "value"), UNSERVED)
def test_what_generates_no_tokens_is_refused(api: Api, flag: str, value: str) -> None:
    code, text = dry_run(api, model_deployment({"engine": {"args": {flag: value}}}))
    assert code != 0
    assert f"spec.engine.args: Forbidden: {unserved_message(flag)}" in text
