"""Secrets from Secrets Manager, kept for five minutes."""

import os

from aws_lambda_powertools.utilities.parameters import get_secret
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from shared.domain.errors import TrainerUnavailable

MAX_AGE_SECONDS = 300


def fal_key(secret: str) -> str:
    """The fal key: ``FAL_KEY`` where it is set, else the secret; raises TrainerUnavailable."""
    return os.environ.get("FAL_KEY") or secret_text(secret)


def secret_text(name: str) -> str:
    """The secret's text; raises TrainerUnavailable when there is none yet."""
    try:
        value = get_secret(name, max_age=MAX_AGE_SECONDS)
    except GetParameterError as error:
        raise TrainerUnavailable(f"the secret {name} has no value yet") from error
    return str(value)
