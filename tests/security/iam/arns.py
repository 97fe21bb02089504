"""The names that AWS gives to the template's resources, in a stack whose own names are given."""

from collections.abc import Mapping
from typing import Any

from tests.support.template import template

ACCOUNT, REGION = "123456789012", "us-east-1"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::StackName": "lora-drop",
    "AWS::URLSuffix": "amazonaws.com",
}
# Service Authorization Reference, "Resource types" of each service.
FORMS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}",
    "AWS::Events::EventBus": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{{}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{}}",
    "AWS::Serverless::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
}
# What Ref gives: the ARN itself, where it is not the name.
REFS_ARE_ARNS = ("AWS::SecretsManager::Secret", "AWS::SNS::Topic")


def arn(kind: str, name: str) -> str:
    """The ARN of a resource of this CloudFormation type; ``name`` may be one already."""
    return name if name.startswith("arn:") else FORMS[kind].format(name)


class Names:
    """The names of one stack's resources by their logical ids; what is not given is called by its id."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Names":
        """The names that stand in the functions' environment, for the resources that the template puts there."""
        given: dict[str, str] = {}
        for variable, either in _variables().items():
            value = chosen(either)
            if variable in environment and isinstance(value, dict) and "Ref" in value:
                given[value["Ref"]] = environment[variable].rsplit("/", 1)[
                    -1
                ]  # a queue's is its URL
        return cls(given)

    def arn(self, logical: str) -> str:
        """The ARN of a resource of the template."""
        kind = template()["Resources"][logical]["Type"]
        return arn(kind, self._given.get(logical, logical))

    def resolve(self, value: Any) -> str:
        """A text of the template with its functions carried out; raises AssertionError at others."""
        match value:
            case str():
                return value
            case {"Ref": name}:
                return self._ref(name)
            case {"Fn::GetAtt": str(path)} if path.endswith(".Arn"):
                return self.arn(path.removesuffix(".Arn"))
            case {"Fn::Sub": str(text)}:
                return self._filled(text)
            case {"Fn::If": _}:
                return self.resolve(chosen(value))
        raise AssertionError(f"tests/security/iam/arns.py cannot resolve {value}")

    def _ref(self, name: str) -> str:
        if name in PSEUDO:
            return PSEUDO[name]
        if template()["Resources"][name]["Type"] in REFS_ARE_ARNS:
            return self.arn(name)
        return self._given.get(name, name)

    def _filled(self, text: str) -> str:
        before, found, after = text.partition("${")
        if not found:
            return before
        name, _, rest = after.partition("}")
        inner = {"Fn::GetAtt": name} if "." in name else {"Ref": name}
        return before + self.resolve(inner) + self._filled(rest)


# The parameters of the stack that is looked at, where they are not their defaults: it notifies a receiver.
GIVEN = {"NotifyUrl": "https://hooks.example/lora", "DatasetHosts": "photos.example"}


def chosen(value: Any) -> Any:
    """What stands there in a stack whose parameters have their defaults, or what is given above."""
    match value:
        case {"Fn::If": [condition, yes, no]}:
            return chosen(yes if _holds(template()["Conditions"][condition]) else no)
    return value


def _holds(condition: Any) -> bool:
    match condition:
        case {"Fn::Not": [inner]}:
            return not _holds(inner)
        case {"Fn::And": every}:
            return all(_holds(each) for each in every)
        case {"Fn::Equals": [{"Ref": parameter}, value]}:
            default = template()["Parameters"][parameter]["Default"]
            return bool(GIVEN.get(parameter, default) == value)
    raise AssertionError(f"tests/security/iam/arns.py cannot tell whether {condition}")


def _variables() -> dict[str, Any]:
    """Every environment variable of every function, as the template sets it."""
    whole = template()
    found: dict[str, Any] = dict(whole["Globals"]["Function"]["Environment"]["Variables"])
    for resource in whole["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            found |= resource["Properties"].get("Environment", {}).get("Variables", {})
    return found
