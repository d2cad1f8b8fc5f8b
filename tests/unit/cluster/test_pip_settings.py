"""Which of a machine's pip settings reach the build of an image, and which of several wins."""

import pytest

from tests.cluster.images.pypi import reaching


@pytest.mark.parametrize(
    ("listed", "environ", "expected"),
    [
        ("", {}, {}),
        (
            "global.cert='/etc/ca.pem'\nglobal.index-url='https://index.example/simple'",
            {},
            {"cert": "/etc/ca.pem", "index-url": "https://index.example/simple"},
        ),
        ("global.timeout='10'\ninstall.timeout='20'\n:env:.timeout='30'", {}, {"timeout": "30"}),
        (":env:.timeout='30'\nglobal.timeout='10'", {}, {"timeout": "30"}),
        (":env:.find-links='/wheels'\nglobal.no-binary='all'\nlist.format='json'", {}, {}),
        ("", {"SSL_CERT_FILE": "/a.pem", "REQUESTS_CA_BUNDLE": "/b.pem"}, {"cert": "/b.pem"}),
        ("global.cert='/c.pem'", {"SSL_CERT_FILE": "/a.pem"}, {"cert": "/c.pem"}),
        (
            "global.extra-index-url='https://a.example\\nhttps://b.example'",
            {},
            {"extra-index-url": "https://a.example\nhttps://b.example"},
        ),
    ],
)
def test_settings_that_reach_a_build(listed: str, environ: dict[str, str], expected: dict[str, str]) -> None:
    assert reaching(listed, environ) == expected
