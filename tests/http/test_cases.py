"""Every case of the table: the whole answer is as it must be, and nothing is left behind."""

import pytest

from tests.http.cases import Api, Case
from tests.http.table import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, quiet_api: Api) -> None:
    before = quiet_api.count_rows()

    answer = case.send_to(quiet_api)

    status, body = case.found(answer)
    assert body == case.body
    assert status == case.status
    assert {name: answer.headers.get(name) for name in case.headers} == case.headers
    assert quiet_api.count_rows() == before
    assert quiet_api.recorder.sent == []
