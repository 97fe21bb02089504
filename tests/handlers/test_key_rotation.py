"""A key is rotated under running functions: nothing is deployed, nobody is called, nothing is paid twice."""

import json

from functions.reconcile.handler import bootstrap as reconcile_bootstrap
from functions.reconcile.handler import handler as reconcile
from functions.submit.handler import bootstrap as submit_bootstrap
from functions.submit.handler import handler as submit
from lora_drop.jobs.status import Status
from tests.support.builders import make_dataset, make_job, s3_event
from tests.support.lambda_environment import FAL_KEY, Context, House, event

OLD = "old-id:old-secret"


def rotate(house: House, value: str) -> None:
    house.aws.secrets.put_secret_value(SecretId=house.fal_key, SecretString=value)


def test_a_dataset_that_comes_after_the_rotation_is_submitted_once(house: House) -> None:
    version = house.drop()
    rotate(house, OLD)
    assert submit_bootstrap()._key() == OLD
    rotate(house, FAL_KEY)
    house.internet.revoked = OLD
    house.internet.says["api.fal.ai"] = OSError("nobody asks for prices")
    notice = s3_event(make_dataset(version_id=version))

    submit(notice, Context())
    first = house.only_job()
    submit(notice, Context())

    assert (first.status, house.only_job().status) == (Status.READY, Status.SUBMITTED)
    shown = [request.headers["Authorization"] for request in house.internet.posts]
    assert shown == [f"Key {OLD}", f"Key {FAL_KEY}"]
    assert "secret" not in json.dumps(house.said())


def test_a_request_is_asked_about_with_the_new_key_at_once(house: House) -> None:
    job = house.holds(make_job(Status.SUBMITTED))
    rotate(house, OLD)
    assert reconcile_bootstrap()._key() == OLD
    rotate(house, FAL_KEY)
    house.internet.revoked = OLD

    house.clock.now = job.updated_at.replace(hour=13)
    tally = reconcile(event("schedule"), Context())

    assert (tally["late"], tally["unanswered"]) == (1, 0)
    assert house.only_job().status is Status.TRAINING
