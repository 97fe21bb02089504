"""The command that prints what a receiver verifies webhooks with."""

from __future__ import annotations

from lora_drop.cli.terminal import Json, StackName, client_of, reporting, write, write_line


def notify_secret(*, stack: StackName = None, json_output: Json = False) -> None:
    """Print the secret that a receiver verifies this stack's webhooks with."""
    from lora_drop.client.notify_secret import notify_secret as secret_of

    with reporting(json_output=json_output):
        secret = secret_of(client_of(stack).stack)
    if json_output:
        write({"secret": secret})
    else:
        write_line(secret)
