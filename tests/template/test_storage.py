"""What every bucket, table, secret and queue has: no list of names but the template's."""

from typing import Any

import pytest

from lora_drop.adapters.s3_results import EXPIRES
from tests.support.template import of_type, target, template

BUCKETS, QUEUES = of_type("AWS::S3::Bucket"), of_type("AWS::SQS::Queue")
SECRETS, PARAMETERS = of_type("AWS::SecretsManager::Secret"), template()["Parameters"]


def rules_of(bucket: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = BUCKETS[bucket]["LifecycleConfiguration"]["Rules"]
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    return rules


def the(rules: list[dict[str, Any]], what: str) -> list[Any]:
    """What the rules say of this, in their order."""
    return [rule[what] for rule in rules if what in rule]


# --------------------------------------------------------------------------- buckets


@pytest.mark.parametrize("bucket", BUCKETS)
def test_nobody_but_the_account_sees_a_bucket(bucket: str) -> None:
    block = BUCKETS[bucket]["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(
        [
            "BlockPublicAcls",
            "BlockPublicPolicy",
            "IgnorePublicAcls",
            "RestrictPublicBuckets",
        ],
        True,
    )


@pytest.mark.parametrize("bucket", BUCKETS)
def test_all_that_is_in_a_bucket_is_the_accounts(bucket: str) -> None:
    rules = BUCKETS[bucket]["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_encrypted(bucket: str) -> None:
    [rule] = BUCKETS[bucket]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_versioned(bucket: str) -> None:
    assert BUCKETS[bucket]["VersioningConfiguration"] == {"Status": "Enabled"}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_old_versions_do_not_stay_for_ever(bucket: str) -> None:
    everywhere = [rule for rule in rules_of(bucket) if "TagFilters" not in rule]
    [old] = the(everywhere, "NoncurrentVersionExpiration")
    assert 1 <= old["NoncurrentDays"] <= 30


@pytest.mark.parametrize("bucket", BUCKETS)
def test_what_marks_the_deleted_goes_as_well(bucket: str) -> None:
    # S3: it "cannot be specified with Days or Date in a Lifecycle Expiration Policy".
    [rule] = [rule for rule in rules_of(bucket) if "ExpiredObjectDeleteMarker" in rule]
    assert set(rule) == {"Id", "Status", "ExpiredObjectDeleteMarker"}
    assert rule["ExpiredObjectDeleteMarker"] is True


@pytest.mark.parametrize("bucket", BUCKETS)
def test_unfinished_uploads_are_ended(bucket: str) -> None:
    assert the(rules_of(bucket), "AbortIncompleteMultipartUpload") == [{"DaysAfterInitiation": 1}]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_reached_by_tls_alone(bucket: str) -> None:
    [policy] = [
        each
        for each in of_type("AWS::S3::BucketPolicy").values()
        if each["Bucket"] == {"Ref": bucket}
    ]
    [denied] = policy["PolicyDocument"]["Statement"]
    arn = f"arn:${{AWS::Partition}}:s3:::${{{bucket}}}"
    assert denied["Resource"] == [{"Fn::Sub": arn}, {"Fn::Sub": f"{arn}/*"}]
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "s3:*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_outlives_the_stack(bucket: str) -> None:
    resource = template()["Resources"][bucket]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_datasets_expire_when_the_stack_says() -> None:
    assert the(rules_of("DatasetsBucket"), "ExpirationInDays") == [{"Ref": "DatasetRetentionDays"}]


def test_of_the_results_only_what_shows_photos_expires_and_as_soon() -> None:
    [rule] = [rule for rule in rules_of("ModelsBucket") if "ExpirationInDays" in rule]
    key, value = EXPIRES

    assert rule["ExpirationInDays"] == {"Ref": "DatasetRetentionDays"}
    assert rule["TagFilters"] == [{"Key": key, "Value": value}]
    [old] = the(
        [each for each in rules_of("DatasetsBucket") if "ExpirationInDays" in each],
        "NoncurrentVersionExpiration",
    )
    assert rule["NoncurrentVersionExpiration"] == old


def test_a_dataset_is_kept_for_longer_than_a_job_can_be_held() -> None:
    # Until the month turns; and another four weeks for a retry.
    assert PARAMETERS["DatasetRetentionDays"]["Default"] >= 31 + 28


# --------------------------------------------------------------------------- table, secrets, queues


def test_the_table_is_backed_up_encrypted_and_not_deleted_by_mistake() -> None:
    [table] = of_type("AWS::DynamoDB::Table").values()

    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert PARAMETERS["DeletionProtection"]["Default"] == "true"


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_stands_in_the_template(secret: str) -> None:
    assert "SecretString" not in SECRETS[secret]


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_is_encrypted(queue: str) -> None:
    assert QUEUES[queue]["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_keeps_messages_for_as_long_as_sqs_can(queue: str) -> None:
    assert QUEUES[queue]["MessageRetentionPeriod"] == 14 * 24 * 3600


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_gives_up_into_dead_letters_or_holds_them(queue: str) -> None:
    ends = {
        target(each["RedrivePolicy"]["deadLetterTargetArn"])
        for each in QUEUES.values()
        if "RedrivePolicy" in each
    }
    assert ("RedrivePolicy" in QUEUES[queue]) is (queue not in ends)
    assert ends <= QUEUES.keys()


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_that_gives_up_tries_several_times(queue: str) -> None:
    assert QUEUES[queue].get("RedrivePolicy", {"maxReceiveCount": 5})["maxReceiveCount"] >= 5


@pytest.mark.parametrize("queue", QUEUES)
def test_dead_letters_call_a_person(queue: str) -> None:
    watched = {
        target(alarm["Dimensions"][0]["Value"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
    }
    assert "RedrivePolicy" in QUEUES[queue] or queue in watched


def test_the_inbox_takes_messages_of_its_own_bucket_alone() -> None:
    [policy] = of_type("AWS::SQS::QueuePolicy").values()
    [allowed] = policy["PolicyDocument"]["Statement"]

    assert [target(queue) for queue in policy["Queues"]] == ["InboxQueue"]
    assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    source = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(BUCKETS["DatasetsBucket"]["BucketName"]["Fn::Sub"])
