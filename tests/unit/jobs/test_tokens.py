import re
from collections.abc import Callable

import pytest

from lora_drop.jobs.ids import token_matches, webhook_token

SECRET, JOB = b"secret", "ada-0123456789"


def test_a_token_is_the_jobs_own_and_the_stacks_own() -> None:
    token = webhook_token(SECRET, JOB)

    assert re.fullmatch("[0-9a-f]{32}", token)
    assert token == webhook_token(SECRET, JOB)
    assert token != webhook_token(SECRET, "ada-0123456780")
    assert token != webhook_token(b"secres", JOB)


def test_a_token_opens_its_own_job_only() -> None:
    token = webhook_token(SECRET, JOB)

    assert token_matches(SECRET, JOB, token)
    assert not token_matches(SECRET, "other-0123456789", token)
    assert not token_matches(b"another", JOB, token)


@pytest.mark.parametrize("token", ["", "0" * 32, "\u00e9", "x" * 10_000])
def test_a_guess_opens_nothing(token: str) -> None:
    assert not token_matches(SECRET, JOB, token)


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda token: token[:-1], lambda token: token + "0"],
    ids=["upper case", "shorter", "longer"],
)
def test_a_token_is_taken_in_one_writing_only(change: Callable[[str], str]) -> None:
    assert not token_matches(SECRET, JOB, change(webhook_token(SECRET, JOB)))


def test_half_a_character_opens_nothing() -> None:
    assert not token_matches(SECRET, JOB, "\ud800")
