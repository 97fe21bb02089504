"""The secret that a stack's webhooks are signed with, as its receivers need it."""

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.client.errors import CommandError
from lora_drop.client.stack import DEFAULT, LOCAL, Stack
from lora_drop.jobs.notifications import SECRET_PREFIX

OUTPUT = "NotifySecretArn"


def notify_secret(stack: Stack) -> str:
    """The secret, with ``whsec_`` before it; raises CommandError where the stack notifies none."""
    name = DEFAULT if stack.name == LOCAL else stack.name
    try:
        [found] = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        outputs = {row["OutputKey"]: row["OutputValue"] for row in found.get("Outputs", [])}
        if not (secret := outputs.get(OUTPUT)):
            raise CommandError(
                "This stack notifies no receiver: its parameters NotifyUrl and NotifyHosts are empty. Set one: "
                "make deploy ENV=dev PARAMETERS=NotifyUrl=https://…, or lora-drop up --parameter NotifyUrl=…"
            )
        text = stack.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"The secret cannot be read: {error}") from error
    return SECRET_PREFIX + str(text).removeprefix(SECRET_PREFIX)
