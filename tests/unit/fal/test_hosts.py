"""Which hosts an address may lie on: those that the name system, httpx and IDNA all take for a name."""

import pytest

from lora_drop.datasets.owner_metadata import notify_url
from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.errors import DatasetRejectedError

LABEL = "a" * 63
HOSTS: dict[str, bool] = {
    "h.example": True,
    "a.h.example": True,
    "1.h.example": True,
    "a--b-9.h.example": True,
    f"{LABEL}.h.example": True,
    f"{LABEL}.{LABEL}.{LABEL}.{'a' * 51}.h.example": True,  # 253 characters
    "xn--bcher-kva.h.example": True,
    "a.xn--bcher-kva.h.example": True,
    "a..h.example": False,
    ".h.example": False,
    f"a{LABEL}.h.example": False,
    f"{LABEL}.{LABEL}.{LABEL}.{'a' * 52}.h.example": False,
    "-a.h.example": False,
    "a-.h.example": False,
    "xn--a.h.example": False,
    "xn--.h.example": False,
    "xn---.h.example": False,
    "a.xn--zzzzzzzz.h.example": False,
    "xn--bcher-kva.a1--b.h.example": False,  # which IDNA reads as another kind of label
}


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_is_a_name_that_can_be_looked_up(host: str) -> None:
    """An address whose host no library could call is refused where a dataset names it."""
    url = f"https://{host}/lora"
    hosts = AllowedHosts(["h.example"])
    assert hosts.allow(url) is HOSTS[host]
    for known in (hosts, None):
        if HOSTS[host]:
            assert notify_url({"notify-url": url}, known) == url
        else:
            with pytest.raises(DatasetRejectedError):
                notify_url({"notify-url": url}, known)


def test_what_is_no_address_is_refused() -> None:
    """Also where the stack's list is not known."""
    with pytest.raises(DatasetRejectedError):
        notify_url({"notify-url": "https://[x/"})
