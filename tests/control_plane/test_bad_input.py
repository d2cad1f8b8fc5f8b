"""Bad input, made from the CRD: each field wrong in each way in which it can be, and what the API server answers."""

import pytest

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT
from tests.control_plane import autoscaling_cases
from tests.control_plane.bad_input import KNOWN, Bad, bad_specs, wrong_ways
from tests.control_plane.crd_fields import Rule, dotted, fields, pattern, rules, spec_schema
from tests.control_plane.seeds import SEEDS, home
from tests.control_plane.test_crd_admission import REFUSED, model_deployment
from tests.control_plane.test_engine_values import NAMING_CODE, UNSERVED
from tests.objects import Object, Objects, Refused

SCHEMA = spec_schema()
FIELDS = {field.name: field for field in fields(SCHEMA)}
REFUSED_CHANGES: dict[str, tuple[Object, Object]] = {**autoscaling_cases.REFUSED_CHANGES}
"""What is there and what it may not become; a rule with oldSelf needs a row."""
DRY_RUN = MODEL_DEPLOYMENT.path("default") + "?dryRun=All&fieldValidation=Strict"


def offered(objects: Objects, spec: Object) -> Refused | None:
    """What the API server says to a ModelDeployment with that spec; None: it takes it. Nothing is stored."""
    meta = {"name": "chat", "namespace": "default"}
    body = {"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": MODEL_DEPLOYMENT.name, "metadata": meta, "spec": spec}
    try:
        objects.request("POST", DRY_RUN, body)
    except Refused as refused:
        return refused
    return None


def changed(objects: Objects, before: Object, after: Object) -> Refused | None:
    """What the API server says to a change of what is stored, which it does not keep either."""
    stored = objects.create(MODEL_DEPLOYMENT, "default", model_deployment(before, name="changed"))
    try:
        path = MODEL_DEPLOYMENT.path("default", "changed") + "?dryRun=All"
        objects.request("PUT", path, {**stored, "spec": model_deployment(after)["spec"]})
    except Refused as refused:
        return refused
    finally:
        objects.delete(MODEL_DEPLOYMENT, "default", "changed")
    return None


@pytest.mark.parametrize("name", SEEDS)
def test_what_is_made_wrong_was_right(objects: Objects, name: str) -> None:
    assert offered(objects, SEEDS[name]) is None


@pytest.mark.parametrize("name", FIELDS)
def test_refused_with_the_path_and_what_would_be_right(objects: Objects, name: str) -> None:
    field = FIELDS[name]
    cases = list(bad_specs(field, *home(field.path, SCHEMA)))
    assert {key for key in field.schema if not key.startswith("x-kubernetes-")} <= KNOWN
    assert {case.what for case in cases} == wrong_ways(field.schema), "each way once"
    assert [f"{case.what}: {told}" for case in cases if (told := unlike(offered(objects, case.spec), case))] == []


def test_each_rule_is_shown(objects: Objects) -> None:
    """Conflicting pairs, forms of words, what may not change: a rule of the CRD that no row makes speak is not tested."""
    rows: list[Object] = [spec for spec, _, _ in REFUSED.values()]
    rows += [{"engine": {"args": {flag: value}}} for flag, value in (*NAMING_CODE, *UNSERVED)]
    answers = [offered(objects, model_deployment(spec)["spec"]) for spec in rows]
    answers += [changed(objects, before, after) for before, after in REFUSED_CHANGES.values()]
    told = [(cause["field"], cause["message"]) for answer in answers if answer is not None for cause in answer.causes]

    def shown(rule: Rule) -> bool:
        return any(pattern(rule.path).fullmatch(field) and rule.words in message for field, message in told)

    assert [f"{dotted(rule.path)}: {rule.words}" for rule in rules(SCHEMA) if not shown(rule)] == []


def unlike(answer: Refused | None, case: Bad) -> str:
    """What is not as it should be in the answer; empty: nothing."""
    if answer is None:
        return "it was let through"
    if case.what == "unknown":
        return "" if f'unknown field "{case.place}"' in str(answer) else str(answer)
    there = [cause["message"] for cause in answer.causes if cause["field"] == case.place]
    return "" if any(case.words in message for message in there) else f"{case.place}, {case.words!r}: {answer}"
