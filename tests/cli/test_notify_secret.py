"""`lora-drop notify-secret` prints what a receiver verifies with, or how to have a stack notify at all."""

import json
from typing import Any

import pytest

from lora_drop.client.errors import CommandError
from lora_drop.client.notify_secret import notify_secret


class Cloud:
    """CloudFormation and Secrets Manager of one stack, as far as they are asked."""

    name = "lora-drop-dev"

    def __init__(self, *outputs: dict[str, str], value: str = "") -> None:
        self.outputs, self.value = outputs, value
        self.asked: list[str] = []

    def client(self, _service: str) -> Any:
        return self

    def describe_stacks(self, **asked: str) -> dict[str, Any]:
        self.asked.append(asked["StackName"])
        return {"Stacks": [{"Outputs": list(self.outputs)}]}

    def get_secret_value(self, **asked: str) -> dict[str, str]:
        self.asked.append(asked["SecretId"])
        return {"SecretString": self.value}


OUTPUT = {"OutputKey": "NotifySecretArn", "OutputValue": "arn:secret"}


@pytest.mark.parametrize("value", ["a" * 64, "whsec_" + "a" * 64])
def test_secret_has_its_prefix_once(value: str) -> None:
    cloud: Any = Cloud(OUTPUT, value=value)
    assert notify_secret(cloud) == "whsec_" + "a" * 64
    assert cloud.asked == ["lora-drop-dev", "arn:secret"]


def test_stack_that_notifies_none_says_how() -> None:
    cloud: Any = Cloud({"OutputKey": "ApiUrl", "OutputValue": "https://x"})
    with pytest.raises(CommandError, match="PARAMETERS=NotifyUrl=https"):
        notify_secret(cloud)


def test_command_prints_it_or_json(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_drop.client.notify_secret.notify_secret", lambda _: "whsec_x")
    assert run("notify-secret").stdout == "whsec_x\n"
    assert json.loads(run("notify-secret", "--json").stdout) == {"secret": "whsec_x"}
