"""Links behind a proxy: believed only when the settings say that there is one."""

import pytest

from app.db.session import Sessions
from app.factory import create_app
from tests.http.cases import Recorder
from tests.rows import make_settings

FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "cloud.example",
    "X-Forwarded-Prefix": "/byre",
}


@pytest.mark.parametrize(
    ("proxies", "link"),
    [
        (0, "http://localhost/identity/v3/"),
        (1, "https://cloud.example/byre/identity/v3/"),
    ],
)
def test_links_follow_a_trusted_proxy_only(sessions: Sessions, proxies: int, link: str) -> None:
    app = create_app(make_settings(api_trusted_proxies=proxies), sessions, Recorder())

    document = app.test_client().get("/identity/v3", headers=FORWARDED).get_json()

    assert document["version"]["links"] == [{"rel": "self", "href": link}]
