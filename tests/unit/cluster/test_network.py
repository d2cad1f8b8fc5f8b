import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.errors import ClusterError
from tests.cluster.network import RANGE, choose

hex_digits = st.text("0123456789abcdef", min_size=6, max_size=6)


@given(hex_digits, st.lists(st.tuples(st.integers(0, RANGE.num_addresses - 1), st.integers(18, 32)), max_size=20))
def test_a_subnet_is_inside_the_range_and_overlaps_nothing(digits: str, others: list[tuple[int, int]]) -> None:
    taken = [ipaddress.IPv4Network((int(RANGE.network_address) + at, prefix), strict=False) for at, prefix in others]
    subnet = choose(digits, taken)
    assert subnet.network.subnet_of(RANGE)
    assert not any(subnet.network.overlaps(each) for each in taken)
    assert [subnet.host, subnet.node] == [str(each) for each in subnet.network.hosts()]


@given(hex_digits)
def test_a_clone_gets_the_same_subnet_again(digits: str) -> None:
    assert choose(digits, []) == choose(digits, [ipaddress.IPv4Network("10.0.0.0/8")])


@given(hex_digits)
def test_the_default_route_is_no_obstacle(digits: str) -> None:
    assert choose(digits, [ipaddress.IPv4Network("0.0.0.0/0")]) == choose(digits, [])


def test_after_the_last_block_comes_the_first() -> None:
    last = choose("007fff", [])
    assert last.network[3] == RANGE[-1]
    assert choose("007fff", [last.network]).network[0] == RANGE[0]


def test_no_free_block_is_told_with_the_range() -> None:
    with pytest.raises(ClusterError, match=r"198\.18\.0\.0/15"):
        choose("000000", [RANGE])
