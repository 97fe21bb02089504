"""What the template's roles grant, and whether that covers a right: IAM's own evaluation, as far as it is used."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.security.iam.arns import Names
from tests.security.iam.rights import Right, Said
from tests.support.template import properties, template

FUNCTION = "AWS::Serverless::Function"
KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource pattern, as a statement of a policy has it.

    ``when``: what the call has to say besides, each a condition key and the one value that it must have.
    """

    sid: str
    action: str
    resource: str
    when: Said = ()

    def covers(self, right: Right) -> bool:
        """IAM: actions in any case; in a resource ``*`` is any text, ``?`` any character."""
        return (
            _matches(self.action.lower(), right.action.lower())
            and _matches(self.resource, right.resource)
            and set(self.when) <= set(right.said)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """All that a role grants; nothing is denied explicitly."""

    grants: tuple[Grant, ...]

    def allows(self, right: Right) -> bool:
        """Whether any statement does."""
        return any(grant.covers(right) for grant in self.grants)

    def without(self, dropped: Sequence[Grant]) -> "Policy":
        """The policy less these."""
        return Policy(tuple(grant for grant in self.grants if grant not in dropped))

    @property
    def statements(self) -> Mapping[str, Sequence[Grant]]:
        """The grants by the id of their statement."""
        found: dict[str, list[Grant]] = {}
        for grant in self.grants:
            found.setdefault(grant.sid, []).append(grant)
        return found


def functions() -> Mapping[str, Mapping[str, Any]]:
    """Every function of the template by its logical id."""
    resources = template()["Resources"].items()
    return {name: each["Properties"] for name, each in resources if each["Type"] == FUNCTION}


def policy_of(function: str, names: Names) -> Policy:
    """What a function's role grants, whole."""
    grants = [
        grant
        for document in documents_of(function)
        for statement in _listed(document["Statement"])
        for grant in _grants(statement, names)
    ]
    sids = {grant.sid for grant in grants}
    assert len(grants) == len(set(grants)), f"{function} is granted something twice"
    assert all(sids), f"{function} has a statement without a Sid"
    return Policy(tuple(grants))


def documents_of(function: str) -> Iterator[Mapping[str, Any]]:
    """The policy documents of a function: its role's own, and those of the template's that it is given."""
    own = properties(function)
    assert "Policies" not in own, (
        f"{function} has Policies, to which SAM adds AWS's own for all queues and all logs: "
        "give it a Role, as SubmitRole is one"
    )
    role = properties(own["Role"]["Fn::GetAtt"].removesuffix(".Arn"))
    for policy in role.get("Policies", []):
        yield policy["PolicyDocument"]
    for policy in role.get("ManagedPolicyArns", []):
        assert isinstance(policy, dict), f"{function} has a policy that is AWS's own: {policy}"
        yield properties(policy["Ref"])["PolicyDocument"]


def _grants(statement: Mapping[str, Any], names: Names) -> Iterator[Grant]:
    assert statement["Effect"] == "Allow", f"{statement['Sid']} is no grant"
    assert statement.keys() <= KNOWN, (
        f"{statement['Sid']}: tests/security/iam/policies.py knows {KNOWN}"
    )
    conditions = statement.get("Condition", {})
    assert conditions.keys() <= {"StringEquals"}, f"{statement['Sid']}: only StringEquals is known"
    when = tuple(sorted(conditions.get("StringEquals", {}).items()))
    for action in _listed(statement["Action"]):
        for resource in _listed(statement["Resource"]):
            yield Grant(statement["Sid"], action, names.resolve(resource), when)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _matches(pattern: str, text: str) -> bool:
    wild = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wild, text, re.DOTALL) is not None
