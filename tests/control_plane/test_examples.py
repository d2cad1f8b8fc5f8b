"""Every YAML that users are shown is applied to a real API server: accepted, and without a warning."""

import pytest

from tests.control_plane.conftest import Api
from tests.examples import documents

pytestmark = pytest.mark.usefixtures("kinds_of_others")

SHOWN = documents()


@pytest.mark.parametrize("text", SHOWN.values(), ids=SHOWN)
def test_the_api_server_takes_it(api: Api, text: str) -> None:
    applied = api.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text
    )
    assert applied.returncode == 0, applied.stderr
    assert "Warning" not in applied.stderr
    assert applied.stdout.count("serverside-applied (server dry run)") == text.count("\nkind: ") + text.startswith("kind: ")


def test_an_unknown_field_would_be_noticed(api: Api) -> None:
    """Strict validation is on, or the test above proves nothing about fields."""
    wrong = SHOWN["examples/chat-8b.yaml"].replace("maxModelLen", "maxModelLength")
    applied = api.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-", stdin=wrong
    )
    assert applied.returncode != 0
    assert "maxModelLength" in applied.stderr
