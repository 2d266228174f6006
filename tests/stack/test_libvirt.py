"""Which of libvirt's things the stack takes for its own, and removes at `down`."""

import pytest

from deploy.stack.libvirt import OUR_DOMAIN, OUR_FILTER, OUR_NETWORK, pool_kind
from workers.hypervisor import names

ID = "0b5e3b1c-54a5-4f7e-9d6a-0c7f3f1f7a11"


def test_what_the_driver_names_is_ours() -> None:
    assert OUR_DOMAIN.fullmatch(names.domain_name(ID))
    assert OUR_NETWORK.fullmatch(names.network_name(ID))
    assert OUR_FILTER.fullmatch(names.filter_name(ID))
    assert pool_kind("byre").is_ours("byre")


@pytest.mark.parametrize(
    "name", ["byre", "byre-db", "byre-test-vm", f"my-byre-{ID}", f"byre-{ID}2"]
)
def test_what_somebody_else_has_named_alike_is_not(name: str) -> None:
    assert not OUR_DOMAIN.fullmatch(name)
    assert not OUR_NETWORK.fullmatch(name)
    assert not OUR_FILTER.fullmatch(name)
    assert not pool_kind("byre").is_ours(f"{name}-pool")
