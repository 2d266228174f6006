"""Tags of a new server's devices: from the request to the host that builds it."""

from typing import Any

from app.services import placement
from tests.http.cases import Api
from tests.http.table_refusals import BLOCK_DEVICE, GOOD, SERVERS
from tests.http.test_networks import make
from tests.http.world import NETWORK
from tests.rows import make_settings
from tests.runs.test_checkpoint import job_for

AT_42 = {"OpenStack-API-Version": "compute 2.42"}


def built(api: Api, **asked: Any) -> Any:
    """Create a server, and return what its host is told."""
    answer = api.call("alice", "POST", SERVERS, json={"server": {**GOOD, **asked}}, headers=AT_42)
    assert answer.status_code == 202, answer.get_data(as_text=True)
    job = job_for(api.sessions, api.recorder.sent[-1])
    return placement.place(api.sessions, make_settings(), job).build


def test_each_device_has_its_tag(api: Api) -> None:
    own = make(api, "port", network_id=NETWORK)["id"]
    networks = [
        {"uuid": NETWORK},
        {"uuid": NETWORK, "tag": "front"},
        {"port": own, "tag": "back"},
    ]
    build = built(api, networks=networks, block_device_mapping_v2=[{**BLOCK_DEVICE, "tag": "boot"}])
    assert [port.tag for port in build.ports] == ["", "front", "back"]
    assert build.ports[2].port_id == own
    assert build.first_boot.root_tag == "boot"


def test_without_tags_nothing_is_told(api: Api) -> None:
    build = built(api, block_device_mapping_v2=[BLOCK_DEVICE])
    assert ([port.tag for port in build.ports], build.first_boot.root_tag) == ([""], "")
