"""What happens around the POST and after it, while fal itself is well: one function each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from tests.resilience.comparison.pipelines import Killed, Pipeline, raising, right_after
from tests.support.fal_answers import LARGE, CdnFault
from tests.support.faulty_fal import FIRST, FaultyFal

MINUTE = timedelta(minutes=1)
LIFETIME = timedelta(minutes=15)  # of a function, where nothing else is said
after_the_post = partial(right_after, "POST", FIRST)
type Story = Callable[[Pipeline, FaultyFal], None]


@dataclass(frozen=True, slots=True)
class Accident:
    """A story, in a sentence; ``lifetime`` is the submit function's timeout."""

    name: str
    story: Story
    lifetime: timedelta = LIFETIME


def call_back(pipeline: Pipeline, fal: FaultyFal) -> None:
    """Deliver fal's webhooks for what was accepted, each again until it is answered with 2xx."""
    for post in fal.paid:
        for pause in (0, 1, 5, 20):
            pipeline.pass_time(pause * MINUTE)
            if pipeline.call_back(post, json.dumps(fal.exchange.webhook(post)).encode()):
                break


def _delivered_twice(pipeline: Pipeline, fal: FaultyFal) -> None:
    pipeline.arrive()
    pipeline.arrive()
    call_back(pipeline, fal)


def _killed(pipeline: Pipeline, fal: FaultyFal) -> None:
    with after_the_post(raising(Killed)):
        pipeline.arrive()
    call_back(pipeline, fal)


def _killed_and_redriven(pipeline: Pipeline, fal: FaultyFal) -> None:
    with after_the_post(raising(Killed)):
        pipeline.arrive()
    pipeline.pass_time(16 * MINUTE)
    pipeline.arrive()
    call_back(pipeline, fal)


def _timed_out(pipeline: Pipeline, fal: FaultyFal) -> None:
    with after_the_post(raising(lambda: Killed(MINUTE))):
        pipeline.arrive()
    call_back(pipeline, fal)


def _write_failed(pipeline: Pipeline, fal: FaultyFal) -> None:
    with pipeline.failing_write():
        pipeline.arrive()
    call_back(pipeline, fal)


def _redriven(pipeline: Pipeline, fal: FaultyFal) -> None:
    pipeline.arrive()
    pipeline.pass_time(61 * MINUTE)
    pipeline.arrive()
    call_back(pipeline, fal)


def _webhook_lost(pipeline: Pipeline, _: FaultyFal) -> None:
    pipeline.arrive()


def _webhook_early(pipeline: Pipeline, fal: FaultyFal) -> None:
    def early() -> None:
        [post] = fal.exchange.posts  # not settled: this very call is under way
        pipeline.call_back(post, json.dumps(fal.exchange.webhook(post)).encode())

    with after_the_post(early):
        pipeline.arrive()


def _webhook_twice(pipeline: Pipeline, fal: FaultyFal) -> None:
    pipeline.arrive()
    call_back(pipeline, fal)
    call_back(pipeline, fal)


def _webhook_forged(pipeline: Pipeline, fal: FaultyFal) -> None:
    """A forger names another file in the place of the weights."""
    pipeline.arrive()
    call_back(pipeline, fal)
    for post in fal.paid:
        body = fal.exchange.webhook(post)
        payload = body["payload"]
        payload["diffusers_lora_file"] |= {"url": payload["config_file"]["url"]}
        pipeline.call_back(post, json.dumps(body).encode(), forged=True)


def _killed_in_copy(pipeline: Pipeline, fal: FaultyFal) -> None:
    pipeline.arrive()
    with pipeline.dying_copy():
        call_back(pipeline, fal)


def _cut(*, length: bool) -> Story:
    def story(pipeline: Pipeline, fal: FaultyFal) -> None:
        fal.exchange.weights = LARGE
        fal.exchange.cut.append(CdnFault(length=length))
        pipeline.arrive()
        call_back(pipeline, fal)

    return story


def _cut_and_read_whole(*, length: bool) -> Story:
    def story(pipeline: Pipeline, fal: FaultyFal) -> None:
        with pipeline.whole_copy():
            _cut(length=length)(pipeline, fal)

    return story


AROUND_THE_POST = (
    Accident("the event is delivered twice", _delivered_twice),
    Accident("killed right after the POST", _killed),
    Accident("the same, and redriven 16 minutes later", _killed_and_redriven),
    Accident("Lambda's timeout of 60 s strikes after the POST", _timed_out, lifetime=MINUTE),
    Accident("DynamoDB refuses the write after the POST", _write_failed),
    Accident("redriven 61 minutes after it went well", _redriven),
)
AFTER_IT = (
    Accident("the webhook never comes", _webhook_lost),
    Accident("the webhook comes before the write after the POST", _webhook_early),
    Accident("the webhook comes twice", _webhook_twice),
    Accident("a forged webhook comes after the real one", _webhook_forged),
    Accident("killed while copying the files", _killed_in_copy),
    Accident("the CDN hangs up in mid-file", _cut(length=True)),
    Accident(
        "the CDN hangs up in mid-file; copied with httpx.get()", _cut_and_read_whole(length=True)
    ),
    Accident("the CDN hangs up in mid-file, length unknown", _cut(length=False)),
    Accident(
        "the CDN hangs up, length unknown; copied with httpx.get()",
        _cut_and_read_whole(length=False),
    ),
)
