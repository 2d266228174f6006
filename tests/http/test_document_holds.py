"""What the API's document says holds. Each route is sent what the document allows and what it does
not, both made by schemathesis, by people of every role: each answer is as it says, nothing
crashes, nothing false is accepted. What succeeds is compared with it in test_policy.

The same requests are sent each time: nothing here hangs on chance.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from app.api.microversions import STANDARD
from tests.http.documented import ROUTES, check_answer, operation_of
from tests.http.policy_things import PEOPLE, TRIES, Try, values
from tests.http.restored import Restored
from tests.http.world import token_of

#: Requests to each route. Those to all routes take about half a minute of one processor.
EXAMPLES = 10

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
FIXED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_answers_as_the_document_says(restored_world: Restored, name: str) -> None:
    method, rule = ROUTES[name]
    operation = operation_of(method, rule)
    things = TRIES.get((method, rule.rule), Try()).things
    comes_later = any(
        "x-openstack-min-version" in parameter.definition["schema"] for parameter in operation.query
    )

    @FIXED
    @given(
        st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in MODES)),
        st.sampled_from([None, *PEOPLE]),
        st.sampled_from(["2.1", "latest"]),
        st.booleans(),
    )
    def check(case: Case[Any], who: str | None, version: str, is_there: bool) -> None:
        if is_there:
            case.path_parameters.update(values(rule.arguments, things, who or "alice"))
        token = {} if who is None else {"X-Auth-Token": token_of(who)}
        answer = case.call(
            app=restored_world.api.app,
            headers={**token, STANDARD: f"compute {version}"},
            # Files of answers are closed.
            buffered=True,
        )
        # What was false may have been in the path, or in what a later version asks for.
        is_judged = not is_there and not (version == "2.1" and comes_later)
        check_answer(case, answer, *([negative_data_rejection] if is_judged else []))

    try:
        check()
    finally:
        restored_world.restore()
