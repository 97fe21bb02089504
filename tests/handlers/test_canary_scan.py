"""The canary scan finds each secret where it may not be, in logs, messages and files."""

import json
import logging
from typing import Any

import pytest

from lora_drop.jobs.ids import webhook_token
from tests.security.canary import canary_dataset, canary_values
from tests.security.canary.canary_values import MAY, CanaryScan, Kind, Place
from tests.security.canary.plugin import WATCH
from tests.support.builders import SECRET
from tests.support.lambda_environment import Context, LambdaEnvironment


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("kind", Kind)
def test_canary_found_where_not_allowed(kind: Kind, place: Place) -> None:
    samples = {
        **canary_values.LITERALS,
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=0af1": Kind.SECRET,
        "https%3A%2F%2Fb%2Fk%3FX-Amz-Credential%3DAKIA%2F2026": Kind.SECRET,
        "POST https://api/live/webhooks/fal/ada-0123456789/" + "0a" * 16: Kind.SECRET,
        "https://v3b.fal.media/files/b/x": Kind.ADDRESS,
        "no photo-07.jpg": Kind.NAME,
        json.dumps(canary_values.OWNER.replace("Z", "\u005a")): Kind.HIDDEN,
    }

    for sample in (sample for sample, expected in samples.items() if expected is kind):
        found = {each for each, *_ in CanaryScan().found(f"x {sample} y", place)}
        assert (kind in found) == (kind not in MAY[place]), sample


def test_every_output_is_recorded(
    environment: LambdaEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    hits = len(WATCH.hits)

    def leak(*_: Any) -> None:
        raise ValueError(canary_values.CAPTION)

    from aws_lambda_powertools import Logger  # noqa: PLC0415  # as a handler does it

    with pytest.raises(ValueError, match="kanarienvogel"):
        Logger(service="leak").inject_lambda_context(clear_state=True)(leak)({}, Context())
    print(json.dumps({"said": canary_values.PHOTO}))  # noqa: T201  # as Powertools writes metrics
    logging.getLogger("lora-drop").warning("x %s", canary_values.OWNER)
    environment.aws.sqs.send_message(QueueUrl=environment.results, MessageBody=canary_dataset.KEY)
    for name, text in (
        ("report.html", canary_values.LATITUDE),
        ("ERROR.txt", canary_values.SESSION_TOKEN),
    ):
        environment.aws.s3.put_object(Bucket="models", Key=f"a/{name}", Body=text.encode())
    logging.getLogger("lora-drop").warning(webhook_token(SECRET, "any-0000000000"))

    capsys.readouterr()
    found = {(hit.place, hit.kind) for hit in WATCH.hits[hits:]}
    del WATCH.hits[hits:]
    assert found == {
        (Place.EXCEPTION, Kind.NAME),
        (Place.LOG, Kind.NAME),
        (Place.LOG, Kind.HIDDEN),
        (Place.LOG, Kind.SECRET),
        (Place.MESSAGE, Kind.KEY),
        (Place.REPORT, Kind.HIDDEN),
        (Place.PUBLIC, Kind.SECRET),
    }
