"""The watch over canaries hears each of them exactly where it may not be."""

import json
import logging
from typing import Any

import pytest

from lora_drop.jobs.ids import webhook_token
from tests.security.canary import canary_dataset as nest
from tests.security.canary import canary_values as birds
from tests.security.canary.canary_values import MAY, Cage, Kind, Place
from tests.security.canary.plugin import WATCH
from tests.support.builders import SECRET
from tests.support.lambda_environment import Context, House


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("kind", Kind)
def test_a_bird_is_heard_exactly_where_it_may_not_be(kind: Kind, place: Place) -> None:
    samples = {
        **birds.LITERALS,
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=0af1": Kind.SECRET,
        "https%3A%2F%2Fb%2Fk%3FX-Amz-Credential%3DAKIA%2F2026": Kind.SECRET,
        "POST https://api/live/webhooks/fal/ada-0123456789/" + "0a" * 16: Kind.SECRET,
        "https://v3b.fal.media/files/b/x": Kind.ADDRESS,
        "no photo-07.jpg": Kind.NAME,
        json.dumps(birds.OWNER.replace("Z", "\u005a")): Kind.HIDDEN,
    }

    for sample, sung in samples.items():
        if sung is kind:
            heard = {each for each, *_ in Cage().found(f"x {sample} y", place)}
            assert (kind in heard) == (kind not in MAY[place]), sample


def test_every_tap_is_open(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    hits = len(WATCH.hits)

    def leak(*_: Any) -> None:
        raise ValueError(birds.CAPTION)

    from aws_lambda_powertools import Logger  # noqa: PLC0415  # as a handler does it

    with pytest.raises(ValueError, match="kanarienvogel"):
        Logger(service="tap").inject_lambda_context(clear_state=True)(leak)({}, Context())
    print(json.dumps({"said": birds.PHOTO}))  # noqa: T201  # as Powertools writes metrics
    logging.getLogger("lora-drop").warning("x %s", birds.OWNER)
    house.aws.sqs.send_message(QueueUrl=house.results, MessageBody=nest.KEY)
    house.aws.s3.put_object(Bucket="models", Key="a/report.html", Body=birds.LATITUDE.encode())
    house.aws.s3.put_object(Bucket="models", Key="a/ERROR.txt", Body=birds.SESSION_TOKEN)
    logging.getLogger("lora-drop").warning(webhook_token(SECRET, "any-0000000000"))

    capsys.readouterr()
    heard = {(hit.place, hit.kind) for hit in WATCH.hits[hits:]}
    del WATCH.hits[hits:]
    assert heard == {
        (Place.EXCEPTION, Kind.NAME),
        (Place.LOG, Kind.NAME),
        (Place.LOG, Kind.HIDDEN),
        (Place.LOG, Kind.SECRET),
        (Place.MESSAGE, Kind.KEY),
        (Place.REPORT, Kind.HIDDEN),
        (Place.PUBLIC, Kind.SECRET),
    }
