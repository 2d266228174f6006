"""Every case that leaves the world as it was, service by service."""

from tests.http import (
    table_aggregates,
    table_byre,
    table_compute,
    table_groups,
    table_identity,
    table_image,
    table_network,
    table_operators,
    table_proxies,
    table_refusals,
    table_routers,
    table_security,
    table_servers,
    table_versions,
)
from tests.http.cases import Case

CASES: list[Case] = [
    *table_identity.CASES,
    *table_compute.CASES,
    *table_servers.CASES,
    *table_groups.CASES,
    *table_aggregates.CASES,
    *table_operators.CASES,
    *table_image.CASES,
    *table_network.CASES,
    *table_routers.CASES,
    *table_security.CASES,
    *table_byre.CASES,
    *table_refusals.CASES,
    *table_versions.CASES,
    *table_proxies.CASES,
]
