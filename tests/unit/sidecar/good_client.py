"""A good client beside all that the others do: what it gets shows that they do not slow it, and what the engine sees is its."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.unit.sidecar.http1 import Connection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from tests.unit.sidecar.stub_engine import Seen

TARGET: Final = "/v1/models?good"


class GoodClient:
    """One connection, on which its requests are answered in their order; it is let go of for nothing that others do."""

    def __init__(self, port: int) -> None:
        self._connection = Connection(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._connection.__exit__(*problem)

    def is_served(self) -> None:
        """It asks, and is answered before anybody else's request goes on or ends."""
        self._connection.request("GET", TARGET)
        assert self._connection.answer().status == 200


def of_others(seen: Sequence[Seen]) -> list[Seen]:
    """What the engine has seen of anybody but the good client."""
    return [each for each in seen if each.path != TARGET]
