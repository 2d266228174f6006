"""The API's document is valid OpenAPI, tells every route, and its page needs no internet."""

import re
from typing import Any

from openapi_spec_validator import OpenAPIV30SpecValidator

from tests.http.cases import Api


def document(api: Api) -> dict[str, Any]:
    """Return the document as anybody gets it."""
    found: dict[str, Any] = api.call(None, "GET", "/openapi.json").get_json()
    return found


def test_it_is_valid(quiet_api: Api) -> None:
    assert list(OpenAPIV30SpecValidator(document(quiet_api)).iter_errors()) == []


def test_it_tells_every_route(quiet_api: Api) -> None:
    paths = document(quiet_api)["paths"]
    told = {(method.upper(), path) for path, item in paths.items() for method in item}

    for rule in quiet_api.app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD"}:
            assert (method, path) in told


def test_every_operation_says_what_it_is_and_how_it_fails(quiet_api: Api) -> None:
    for item in document(quiet_api)["paths"].values():
        for operation in (value for key, value in item.items() if key != "parameters"):
            assert operation["summary"]
            assert "500" in operation["responses"]
            if operation.get("security") != []:
                assert {"401", "403"} <= operation["responses"].keys()


def test_the_page_takes_nothing_from_elsewhere(quiet_api: Api) -> None:
    page = quiet_api.call(None, "GET", "/docs").get_data(as_text=True)

    base, *sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert (base, len(sources)) == ("/", 4)
    for source in sources:
        assert "//" not in source
        with quiet_api.call(None, "GET", f"{base}{source}") as part:
            assert part.status_code == 200
            assert len(part.data) > 100
