"""What every bucket, table, secret and queue has: no list of names but the template's."""

from typing import Any

import pytest

from lora_drop.adapters.s3_results import EXPIRES
from tests.support.template import of_type, target, template

BUCKETS, QUEUES = of_type("AWS::S3::Bucket"), of_type("AWS::SQS::Queue")
SECRETS, PARAMETERS = of_type("AWS::SecretsManager::Secret"), template()["Parameters"]
ALARMS = of_type("AWS::CloudWatch::Alarm")
each_bucket = pytest.mark.parametrize("bucket", BUCKETS)


def rules_of(bucket: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = BUCKETS[bucket]["LifecycleConfiguration"]["Rules"]
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    return rules


def values(rules: list[dict[str, Any]], name: str) -> list[Any]:
    """The values of this property, of the rules that have it."""
    return [rule[name] for rule in rules if name in rule]


@pytest.mark.promise("nothing leaks")
@each_bucket
def test_bucket_is_private(bucket: str) -> None:
    """A bucket is closed to the public, encrypted, the account's alone, and reached by TLS only."""
    properties = BUCKETS[bucket]
    assert properties["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True
    )
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    [rule] = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")

    policies = of_type("AWS::S3::BucketPolicy").values()
    [policy] = [each for each in policies if each["Bucket"] == {"Ref": bucket}]
    [denied] = policy["PolicyDocument"]["Statement"]
    arn = f"arn:${{AWS::Partition}}:s3:::${{{bucket}}}"
    assert denied["Resource"] == [{"Fn::Sub": arn}, {"Fn::Sub": f"{arn}/*"}]
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "s3:*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.promise("never lose a result")
@each_bucket
def test_bucket_survives_mistakes(bucket: str) -> None:
    """A bucket is versioned and outlives its stack; old versions, markers and parts do not stay for ever."""
    resource = template()["Resources"][bucket]
    # A first deployment that fails leaves nothing that makes the next one fail.
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"
    assert BUCKETS[bucket]["VersioningConfiguration"] == {"Status": "Enabled"}

    rules = rules_of(bucket)
    everywhere = [rule for rule in rules if "TagFilters" not in rule]
    [old] = values(everywhere, "NoncurrentVersionExpiration")
    assert 1 <= old["NoncurrentDays"] <= 30
    assert values(rules, "AbortIncompleteMultipartUpload") == [{"DaysAfterInitiation": 1}]
    # S3: it "cannot be specified with Days or Date"; CloudFormation refuses a rule that has only it.
    [rule] = [rule for rule in rules if "ExpiredObjectDeleteMarker" in rule]
    assert rule.keys() - {"Id", "Status", "ExpiredObjectDeleteMarker"} == {
        "AbortIncompleteMultipartUpload"
    }
    assert rule["ExpiredObjectDeleteMarker"] is True


def test_datasets_expire_as_configured() -> None:
    """A dataset is kept longer than a job can be held: until the month turns, and four weeks for a retry."""
    days = [{"Ref": "DatasetRetentionDays"}]

    assert values(rules_of("DatasetsBucket"), "ExpirationInDays") == days
    assert PARAMETERS["DatasetRetentionDays"]["Default"] >= 31 + 28


@pytest.mark.promise("never lose a result")
def test_only_photo_copies_expire() -> None:
    """Of the results only the files that show photos expire, and as soon as the dataset."""
    [rule] = [rule for rule in rules_of("ModelsBucket") if "ExpirationInDays" in rule]
    [dataset] = [rule for rule in rules_of("DatasetsBucket") if "ExpirationInDays" in rule]
    key, value = EXPIRES

    assert rule["ExpirationInDays"] == {"Ref": "DatasetRetentionDays"}
    assert rule["TagFilters"] == [{"Key": key, "Value": value}]
    assert rule["NoncurrentVersionExpiration"] == dataset["NoncurrentVersionExpiration"]


def test_table_is_backed_up() -> None:
    """The table is backed up, encrypted and not deleted by mistake."""
    [table] = of_type("AWS::DynamoDB::Table").values()

    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert PARAMETERS["DeletionProtection"]["Default"] == "true"


@pytest.mark.parametrize("secret", SECRETS)
def test_template_holds_no_secret(secret: str) -> None:
    assert "SecretString" not in SECRETS[secret]


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("queue", QUEUES)
def test_queue_ends_in_dead_letters(queue: str) -> None:
    """A queue tries a message at least five times, keeps it 14 days, and its dead letters ring an alarm."""
    properties = QUEUES[queue]
    ends = {
        target(each["deadLetterTargetArn"]) for each in values([*QUEUES.values()], "RedrivePolicy")
    }
    watched = {
        target(alarm["Dimensions"][0]["Value"])
        for alarm in ALARMS.values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
    }
    assert properties["SqsManagedSseEnabled"] is True
    assert properties["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert ("RedrivePolicy" in properties) is (queue not in ends)
    assert ends <= QUEUES.keys()
    assert properties.get("RedrivePolicy", {"maxReceiveCount": 5})["maxReceiveCount"] >= 5
    assert "RedrivePolicy" in properties or queue in watched


def test_inbox_accepts_its_bucket_only() -> None:
    [policy] = of_type("AWS::SQS::QueuePolicy").values()
    [allowed] = policy["PolicyDocument"]["Statement"]

    assert [target(queue) for queue in policy["Queues"]] == ["InboxQueue"]
    assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    source = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(BUCKETS["DatasetsBucket"]["BucketName"]["Fn::Sub"])
