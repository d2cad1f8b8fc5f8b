"""What GitOps tools say of ModelDeployments that the real operator left in each phase (tests/control_plane/test_phases.py)."""

import pytest

from tests.gitops.phases import FOLDER, PHASES, read
from tests.gitops.verdicts import verdict


@pytest.mark.parametrize(("phase", "expected"), PHASES.items())
def test_verdict(phase: str, expected: tuple[str, str]) -> None:
    assert verdict(read(phase)).statuses == expected


def test_each_phase_is_recorded_and_no_other() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(PHASES)


@pytest.mark.parametrize("phase", ["no-spare-gpu", "image-name-wrong", "overdue"])
def test_a_failure_says_what_to_do_in_both(phase: str) -> None:
    mdep = read(phase)
    (stalled,) = (each for each in mdep["status"]["conditions"] if each["type"] == "Stalled")
    said = verdict(mdep)
    assert said.kstatus.message == stalled["message"]
    assert said.argocd.message == f"{stalled['reason']}: {stalled['message']}"
