"""Each leaf that we own comes back when it is changed by hand; each that we do not own, and each foreign label, stays."""

import pytest

from fairlead.controller.settings import Settings
from fairlead.reconciler.kinds import CHILDREN, DEPLOYMENT, Kind
from tests.control_plane.conftest import SETTINGS
from tests.control_plane.world import World
from tests.drift.child import drifting
from tests.drift.walks import foreign_leaves_stay, owned_leaves_come_back, strategy_comes_back

pytestmark = [pytest.mark.usefixtures("operator"), pytest.mark.timeout(400)]

CONTEXT = Settings.model_validate(SETTINGS).context
TWINS = ("a", "b", "c", "d")


@pytest.mark.parametrize("kind", CHILDREN, ids=lambda kind: kind.name)
def test_each_leaf_that_we_own_comes_back(world: World, kind: Kind) -> None:
    owned_leaves_come_back([drifting(world, kind, name, CONTEXT) for name in TWINS])


def test_strategy_changed_as_a_whole(world: World) -> None:
    strategy_comes_back(drifting(world, DEPLOYMENT, "chat", CONTEXT))


@pytest.mark.parametrize("kind", CHILDREN, ids=lambda kind: kind.name)
def test_each_leaf_that_we_do_not_own_stays(world: World, kind: Kind) -> None:
    foreign_leaves_stay(drifting(world, kind, "chat", CONTEXT))
