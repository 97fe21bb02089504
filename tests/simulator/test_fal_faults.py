"""A fault strikes where, when and as often as it was asked to."""

from typing import Any

import pytest
from httpx import HTTPStatusError

from lora_drop.simulator.errors import DOCUMENTED
from lora_drop.simulator.faults import FORMS, TABLE, BadFault, Faults, Place
from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import Calls, until
from tests.simulator.receiver import Receiver
from tests.support.builders import APPLICATION

NAMES = [kind.name for kind in TABLE]


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_can_be_had_by_its_name_alone(standing: Calls, name: str) -> None:
    fault = standing.sim.inject(name)

    assert fault == standing.sim.faults()[-1]
    standing.sim.clear()
    assert (fault["fault"], fault["remaining"], fault["injected"]) == (name, 1, 0)
    assert fault["says"]


def test_every_setting_of_the_table_has_a_form_and_its_usual_value_keeps_it() -> None:
    for kind in TABLE:
        for setting, usual in kind.settings.items():
            _, holds = FORMS[setting]
            assert usual is None or holds(usual), (kind.name, setting)


@pytest.mark.parametrize("kind", sorted(DOCUMENTED))
def test_a_training_can_end_in_every_documented_error(standing: Calls, kind: str) -> None:
    standing.sim.inject("training_error", type=kind)
    request_id = standing.submitted()

    status = standing.ended(request_id)

    result = standing.result(request_id)
    assert (status["status"], status["error_type"]) == ("COMPLETED", kind)
    assert status["error"]
    assert result.status_code >= 400
    detail = result.json()["detail"]
    said = detail[0]["type"] if isinstance(detail, list) else result.json()["error_type"]
    assert said == kind


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"fault": "nonsense"}, "no fault is called nonsense; there are submit_answer_lost, "),
        ({}, "no fault is called None"),
        ({"fault": ["submit_empty"]}, "no fault is called ['submit_empty']"),
        ([1], "a fault is a JSON object"),
        ("text", "a fault is a JSON object"),
        ({"fault": "submit_empty", "times": 0}, "times is a number from 1 on, or null"),
        ({"fault": "submit_empty", "times": True}, "times is a number from 1 on, or null"),
        ({"fault": "submit_empty", "times": "2"}, "times is a number from 1 on, or null"),
        ({"fault": "submit_empty", "colour": 1}, "submit_empty has no setting colour; it has "),
        ({"fault": "submit_empty", "answer": "abort"}, "submit_empty has no setting answer"),
        ({"fault": "submit_empty", "request_id": "x"}, "submit_empty has no setting request_id"),
        ({"fault": "jwks_down", "endpoint_id": "x"}, "jwks_down has no setting endpoint_id"),
        ({"fault": "result_gone", "name": 1}, "no setting name; it has request_id, endpoint_id"),
        ({"fault": "result_gone", "request_id": 5}, "request_id is a text, not 5"),
        ({"fault": "submit_status", "status": 99}, "is a status from 200 to 599, not 99"),
        ({"fault": "submit_status", "status": "502"}, "is a status from 200 to 599, not '502'"),
        ({"fault": "submit_status", "form": "apache"}, "is fal or nginx, not 'apache'"),
        ({"fault": "submit_status", "detail": 5}, "detail of submit_status is a text, not 5"),
        ({"fault": "submit_status", "accepted": 1}, "is true or false, not 1"),
        ({"fault": "submit_stall", "seconds": -1}, "is a number from 0 on, not -1"),
        ({"fault": "submit_stall", "seconds": True}, "is a number from 0 on, not True"),
        ({"fault": "training_error", "type": "odd"}, "is an error type that fal documents"),
        ({"fault": "training_error", "type": None}, "is an error type that fal documents"),
        ({"fault": "training_error", "type": ["odd"]}, "is an error type that fal documents"),
        ({"fault": "training_error", "status": "x"}, "is a status from 200 to 599, not 'x'"),
        ({"fault": "training_error", "billable_units": -1}, "is a number from 0 on, not -1"),
        ({"fault": "training_error", "billable_units": "1"}, "is a number from 0 on, not '1'"),
        ({"fault": "training_error", "units_told": None}, "is true or false, not None"),
        ({"fault": "webhook_doubled", "copies": 0}, "is a whole number from 1 on, not 0"),
        ({"fault": "webhook_stale", "age": 1.5}, "is a whole number of seconds, not 1.5"),
        ({"fault": "download_cut", "bytes": -1}, "is a whole number from 0 on, not -1"),
        ({"fault": "download_slow", "bytes_per_second": 0}, "is a whole number from 1 on, not 0"),
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_had_is_refused_in_a_sentence(
    standing: Calls, wanted: Any, said: str
) -> None:
    before = standing.sim.faults()

    response = standing.http.post("/_sim/faults", json=wanted)

    assert response.status_code == 400
    assert said in response.json()["error"]
    assert standing.sim.faults() == before


def test_a_fault_that_is_no_json_is_refused(calls: Calls) -> None:
    response = calls.http.post("/_sim/faults", content=b"\xff{")

    assert (response.status_code, response.json()) == (400, {"error": "not JSON"})


def test_the_client_of_the_control_api_says_why(sim: ControlClient) -> None:
    with pytest.raises(HTTPStatusError, match="no fault is called nonsense"):
        sim.inject("nonsense")


def test_a_fault_strikes_so_many_times_and_is_counted(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_status", times=2, status=503)

    codes = [calls.submit().status_code for _ in range(3)]

    assert codes == [503, 503, 200]
    [fault] = sim.faults()
    assert (fault["remaining"], fault["injected"]) == (0, 2)


def test_a_fault_for_ever_ends_when_it_is_cleared(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_status", times=None, status=503)
    before = [calls.submit().status_code for _ in range(3)]

    sim.clear()

    assert before == [503] * 3
    assert calls.submit().status_code == 200
    assert sim.faults() == []


def test_faults_of_one_place_strike_in_turn(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_status", status=503)
    sim.inject("balance_exhausted")

    assert [calls.submit().status_code for _ in range(3)] == [503, 403, 200]


def test_a_fault_strikes_only_the_endpoint_it_names(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_status", status=503, endpoint_id=APPLICATION)

    other = calls.submit(application="fal-ai/flux-2-trainer").status_code

    assert (other, calls.submit().status_code) == (200, 503)


def test_a_fault_strikes_only_the_request_it_names(sim: ControlClient, calls: Calls) -> None:
    one, other = calls.submitted(), calls.submitted()
    sim.inject("status_error", times=None, request_id=other)

    assert calls.ended(one)["status"] == "COMPLETED"
    assert "detail" in calls.status(other)


def test_a_fault_strikes_only_the_file_it_names(sim: ControlClient, calls: Calls) -> None:
    sim.inject("download_status", times=None, file_name="pytorch_lora_weights.safetensors")
    result = calls.trained()

    assert calls.http.get(result["diffusers_lora_file"]["url"]).status_code == 503
    assert calls.http.get(result["config_file"]["url"]).status_code == 200


def test_a_redelivery_is_spared_by_the_faults(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("webhook_lost", times=None)
    request_id = calls.submitted(webhook_url=receiver.url)
    until(lambda: sim.ledger()["webhooks"])

    assert sim.redeliver(request_id)["status"] == 200


def test_a_fault_strikes_at_every_so_manieth_occasion_and_leaves_the_others_alone() -> None:
    faults = Faults()
    lost = faults.inject({"fault": "webhook_lost", "times": None, "every": 3})
    doubled = faults.inject({"fault": "webhook_doubled", "times": 1, "every": 2})

    struck = [faults.take(Place.WEBHOOK, request_id=f"r{number}") for number in range(6)]

    assert struck == [None, doubled, lost, None, None, lost]
    with pytest.raises(BadFault, match="every"):
        faults.inject({"fault": "webhook_lost", "every": 0})
