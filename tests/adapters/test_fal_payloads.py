"""What fal stored of a request is deleted as far as the key allows, and what is left is said."""

import ssl
from collections.abc import Iterator

import httpx
import pytest

from lora_drop.adapters.fal_payloads import FORBIDS, FalPayloads
from lora_drop.adapters.secrets import Key
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.ports import PayloadsErased
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.simulator.fal_calls import Calls
from tests.support.fal_keys import FixedKey, NoKey

API = "https://api.fal.ai/v1"
LINK = "https://v3.fal.media/files/a/lora.safetensors"
SUCCESS = {"cdn_delete_results": [{"link": LINK, "exception": None}] * 2}


class Fal:
    """The platform API: one answer to deletions, another to everything else."""

    def __init__(self, deletion: httpx.Response | Exception, other: int = 200) -> None:
        self.asked: list[httpx.Request] = []
        self._deletion = deletion
        self._other = httpx.Response(other, json={"items": []})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        said = self._deletion if request.method == "DELETE" else self._other
        if isinstance(said, Exception):
            raise said
        return said


def erased(fal: Fal, request_id: str = "r-1", key: Key | None = None) -> PayloadsErased:
    payloads = FalPayloads(key or FixedKey(" key\n"), f"{API}/", httpx.MockTransport(fal))
    return payloads.erase(request_id)


def test_the_files_that_fal_deleted_are_counted() -> None:
    fal = Fal(httpx.Response(200, json=SUCCESS))

    assert erased(fal) == PayloadsErased(files=2)

    [request] = fal.asked
    assert (request.method, str(request.url)) == ("DELETE", f"{API}/models/requests/r-1/payloads")
    assert request.headers["Authorization"] == "Key key"


def test_a_request_is_named_as_one_part_of_the_path() -> None:
    fal = Fal(httpx.Response(404))

    erased(fal, "../../keys?x=1#")

    assert fal.asked[0].url.raw_path == b"/v1/models/requests/..%2F..%2Fkeys%3Fx%3D1%23/payloads"


def test_a_file_that_fal_could_not_delete_is_left_and_its_address_is_not_told() -> None:
    rows = [{"link": LINK, "exception": None}, {"link": LINK, "exception": "boom"}, "odd"]
    fal = Fal(httpx.Response(200, json={"cdn_delete_results": rows}))

    told = erased(fal)

    assert (told.files, len(told.left)) == (1, 1)
    assert "2 of the training's output files" in told.left[0]
    assert "fal.media" not in told.left[0]


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(204), httpx.Response(200, json=[]), httpx.Response(200, content=b"\xff")],
)
def test_an_answer_that_says_nothing_of_files_is_no_promise(answer: httpx.Response) -> None:
    told = erased(Fal(answer))

    assert told.files == 0
    assert "did not say" in told.left[0]


def test_what_fal_does_not_know_is_gone() -> None:
    assert erased(Fal(httpx.Response(404, json={"error": {}}))) == PayloadsErased()


def test_a_key_without_the_right_leaves_what_fal_has() -> None:
    assert erased(Fal(httpx.Response(403))) == PayloadsErased(left=(FORBIDS,))


def test_a_key_that_may_do_anything_else_has_not_the_right_either() -> None:
    fal = Fal(httpx.Response(401), other=200)

    assert erased(fal) == PayloadsErased(left=(FORBIDS,))
    assert [request.method for request in fal.asked] == ["DELETE", "GET"]


def test_a_key_that_fal_does_not_know_is_put_right_by_a_person_and_tried_again() -> None:
    with pytest.raises(FalUnavailableError, match="401"):
        erased(Fal(httpx.Response(401), other=401))


def test_an_old_key_is_shown_once_and_then_the_new_one() -> None:
    shown: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        shown.append(request.headers["Authorization"])
        known = request.headers["Authorization"] == "Key new"
        return httpx.Response(200 if known else 401, json=SUCCESS)

    payloads = FalPayloads(FixedKey("old", then="new"), API, httpx.MockTransport(answer))

    assert payloads.erase("r-1").files == 2
    assert shown == ["Key old", "Key new"]


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(307, headers={"Location": "data:,x"}),
        *(httpx.Response(status) for status in (302, 408, 409, 425, 429, 500, 503)),
    ],
    ids=str,
)
def test_what_may_go_better_is_tried_again(trouble: httpx.Response | Exception) -> None:
    with pytest.raises(FalUnavailableError):
        erased(Fal(trouble))


@pytest.mark.parametrize("status", [400, 405, 410, 422])
def test_any_other_refusal_is_told(status: int) -> None:
    told = erased(Fal(httpx.Response(status)))

    assert (told.files, str(status) in told.left[0]) == (0, True)


def test_without_a_key_nobody_is_asked() -> None:
    fal = Fal(httpx.Response(200, json=SUCCESS))

    with pytest.raises(FalUnavailableError):
        erased(fal, key=NoKey())

    assert fal.asked == []


def test_without_certificates_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")

    with pytest.raises(FalUnavailableError):
        FalPayloads(FixedKey(), API).erase("r-1")


@pytest.fixture(params=["ADMIN", "API"])
def sim(request: pytest.FixtureRequest) -> Iterator[ControlClient]:
    """A simulator whose key may do this."""
    settings = {"training_seconds": 0.02, "lora_rank": 1, "key_scope": request.param}
    with running_simulator(SimulatorConfig(**settings)) as running:
        yield running


def test_the_simulator_deletes_what_a_key_may_delete(sim: ControlClient) -> None:
    trust = ssl.create_default_context(cafile=sim.ca_file)
    payloads = FalPayloads(
        FixedKey(sim.key), f"{sim.base_url}/v1", httpx.HTTPTransport(verify=trust)
    )
    with Calls(sim) as calls:
        urls = [each["url"] for each in calls.trained().values() if isinstance(each, dict)]
        [request] = sim.requests()

        told = payloads.erase(request["request_id"])

        lying = [calls.http.get(url).status_code for url in urls]
    admin = not told.left
    assert told == (PayloadsErased(files=2) if admin else PayloadsErased(left=(FORBIDS,)))
    assert lying == [404 if admin else 200] * 2
