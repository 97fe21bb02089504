"""IAM in front of moto: each call that a function makes is let through only if its role allows it."""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.security.iam.arns import Names
from tests.security.iam.policies import Policy, functions, policy_of
from tests.security.iam.rights import Right, absent, rights_for
from tests.support.template import TEMPLATE

ROOT = TEMPLATE.parent
GIVEN = threading.local()  # the function that a thread works for


@dataclass
class Guard:
    """The policies of a stack's functions, and what was asked of them.

    With ``enforced`` off everything is let through, and only noted.
    """

    policies: Mapping[str, Policy]
    enforced: bool = True
    asked: set[tuple[str, Right]] = field(default_factory=set)
    denied: set[tuple[str, Right]] = field(default_factory=set)

    @classmethod
    def of(cls, names: Names) -> "Guard":
        """The template's own policies."""
        return cls({function: policy_of(function, names) for function in functions()})

    def allows(self, function: str, right: Right) -> bool:
        """Whether a function may; noted either way."""
        self.asked.add((function, right))
        allowed = self.policies[function].allows(right)
        if not allowed:
            self.denied.add((function, right))
        return allowed or not self.enforced


def _always() -> bool:
    return True


@contextmanager
def guarded(guard: Guard, watching: Callable[[], bool] = _always) -> Iterator[None]:
    """As long as the block lasts, whatever a function asks of AWS passes the guard.

    A call belongs to the function whose handler is below it on the stack, in a thread to the one that gave it its
    work; where none is, the test itself arranges or looks at things. What a function presigns is noted; the test that then uses
    the address asks ``allows``, as S3 does at that moment. ``watching`` is off while a test looks at
    things from within a function's call.
    """
    owners = {
        str(ROOT.joinpath(*each["Handler"].split(".")[:-1]).with_suffix(".py")): name
        for name, each in functions().items()
    }
    emit, make = _private("_emit_api_params"), _private("_make_api_call")
    give = ThreadPoolExecutor.submit

    def given(pool: Any, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        return give(pool, _of(_owner(owners), work), *arguments, **named)

    def emitted(client: Any, api_params: Any, operation_model: Any, context: Any) -> Any:
        function = _owner(owners) if watching() else ""
        service = client.meta.service_model.service_name
        signed = context.get("is_presign_request")
        # botocore resolves the host of a presigned form by this operation; the form's own right is PutObject,
        # which the test asks for that sends the form.
        is_form = signed and operation_model.name == "CreateBucket"
        known = (
            () if is_form or not function else rights_for(service, operation_model.name, api_params)
        )
        for right in known:
            if not guard.allows(function, right) and not signed:
                raise _refusal(service, operation_model.name, function, right)
        return emit(client, api_params, operation_model, context)

    def made(client: Any, operation: str, arguments: Any) -> Any:
        try:
            return make(client, operation, arguments)
        except ClientError as error:
            function = _owner(owners) if watching() else ""
            service = client.meta.service_model.service_name
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if function and status == HTTPStatus.NOT_FOUND:
                for right in absent(service, operation, arguments):
                    if not guard.allows(function, right):
                        raise _refusal(service, operation, function, right) from error
            raise

    with (
        patch.object(BaseClient, "_emit_api_params", emitted),
        patch.object(BaseClient, "_make_api_call", made),
        patch.object(ThreadPoolExecutor, "submit", given),
    ):
        yield


def _private(name: str) -> Any:
    """A method that every call comes through; botocore's events are another set for each session."""
    return inspect.getattr_static(BaseClient, name)


def _owner(owners: Mapping[str, str]) -> str:
    """The function that is at work, by the nearest handler on the stack; empty for none."""
    frame = sys._getframe()
    while frame is not None:
        found = owners.get(frame.f_code.co_filename)
        if found is not None:
            return found
        frame = frame.f_back  # type: ignore[assignment]  # None is the end
    main = threading.current_thread() is threading.main_thread()
    owner: str | None = getattr(GIVEN, "owner", "" if main else None)
    assert owner is not None, "a thread asks AWS for something, and no function is on its stack"
    return owner


def _of(owner: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The work of a thread, done as this function's."""

    def done(*arguments: Any, **named: Any) -> Any:
        GIVEN.owner = owner
        return work(*arguments, **named)

    return done


def _refusal(service: str, operation: str, function: str, right: Right) -> ClientError:
    """What AWS says; a HEAD has no body to say it in."""
    if operation.startswith("Head"):
        code, message = "403", "Forbidden"
    else:
        code = "AccessDenied" if service in ("s3", "sqs") else "AccessDeniedException"
        # Our client for S3 cuts the object out of what S3 says (shared/lora_drop/adapters/s3_client.py).
        resource = right.resource.partition("/")[0] if service == "s3" else right.resource
        message = f"{function} is not authorized to perform: {right.action} on {resource}"
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": HTTPStatus.FORBIDDEN.value},
    }
    return ClientError(answer, operation)
