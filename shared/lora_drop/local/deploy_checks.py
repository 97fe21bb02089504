"""What may stand in the way of a deployment, found before anything is built: names, leftovers, a failed stack."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lora_drop.local.tools import in_checkout

if TYPE_CHECKING:
    from lora_drop.local.deploy import Target

# A stack that was never made, or is half deleted: CloudFormation updates none of these.
FAILED = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
# Made of changes that were shown and not confirmed; the next deployment goes on from it.
UNCONFIRMED = "REVIEW_IN_PROGRESS"
# S3: 3 to 63 characters of lower case, digits and hyphens ("Bucket naming rules").
LONGEST_BUCKET = 63
STACK_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class DeployError(RuntimeError):
    """Raised when a deployment cannot go on; says what to do."""


def prepare(target: "Target", agreed: Callable[[str], bool], say: Callable[[str], None]) -> None:
    """Find what would make a first deployment fail; raises DeployError.

    ``agreed`` answers whether what is left of a failed stack may be deleted.
    """
    check_names(target)
    status = target.status()
    if status in FAILED:
        remove_failed(target, status, agreed=agreed, say=say)
    if status == UNCONFIRMED:
        say(f"{target.stack}: changes were shown and not confirmed the last time; on with it.")
    check_nothing_left(target)


def check_names(target: "Target") -> None:
    """Raise DeployError where the buckets of this stack could not have the names that they would get."""
    longest = max(buckets(target), key=len)
    if not STACK_NAME.fullmatch(target.stack):
        raise DeployError(
            f"The stack is called {target.stack!r}, and its buckets are named after it: S3 takes lower case, "
            "digits and hyphens. Change stack_name in samconfig.toml."
        )
    if len(longest) > LONGEST_BUCKET:
        over = len(longest) - LONGEST_BUCKET
        raise DeployError(
            f"{longest} has {len(longest)} characters, and S3 takes {LONGEST_BUCKET}. Make stack_name in "
            f"samconfig.toml {over} characters shorter."
        )


def buckets(target: "Target") -> Iterator[str]:
    """Yield the names of the stack's buckets, as template.yaml makes them."""
    for kind in ("datasets", "models"):
        yield f"{target.stack}-{kind}-{target.account}-{target.region}"


def check_nothing_left(target: "Target") -> None:
    """Raise DeployError where buckets of an earlier stack of this name would make a new one fail."""
    left = [bucket for bucket in buckets(target) if _exists(target.client("s3"), bucket)]
    if left:
        raise DeployError(
            f"There is no stack {target.stack}, but {' and '.join(left)}: left by an earlier one, with what "
            "people trained. Give the new stack another stack_name in samconfig.toml, or remove them for "
            "good by the last lines of “Remove a stack” in docs/runbook.md."
        )


def _exists(s3: Any, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        return str(error.response["Error"]["Code"]) not in ("404", "NoSuchBucket")
    return True


def remove_failed(
    target: "Target", status: str, *, agreed: Callable[[str], bool], say: Callable[[str], None]
) -> None:
    """Delete a stack whose first deployment, or deletion, failed, once ``agreed``; raises DeployError where it is not.

    Nothing is lost: buckets and table of a stack that has worked stay (``RetainExceptOnCreate``).
    """
    cloudformation = target.client("cloudformation")
    what = "deletion" if status == "DELETE_FAILED" else "first deployment"
    say(f"The {what} of {target.stack} failed ({status}). {_reason(cloudformation, target)}")
    if not agreed("Delete what is left of it and deploy again?"):
        raise DeployError(
            "CloudFormation updates no such stack. Mend the cause, then delete it and deploy again: "
            f"{_again(target.environment)}"
        )
    cloudformation.delete_stack(StackName=target.stack)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=target.stack)
    say(f"{target.stack} is deleted.")


def _again(name: str) -> str:
    """Return what a person types to delete a failed stack and deploy again."""
    installed = f"lora-drop deploy {name} --delete-failed"
    return f"make deploy ENV={name} DELETE_FAILED=1" if in_checkout() else installed


def _reason(cloudformation: Any, target: "Target") -> str:
    """Return the first failure that CloudFormation noted; the later ones follow from it."""
    events = cloudformation.describe_stack_events(StackName=target.stack)["StackEvents"]
    failures = [
        event
        for event in events
        if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")
    ]
    if not failures:
        return "CloudFormation says no reason."
    first = min(failures, key=lambda event: event["Timestamp"])
    return f"{first['LogicalResourceId']}: {first['ResourceStatusReason']}"
