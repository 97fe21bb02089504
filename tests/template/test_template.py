"""What template.yaml promises, resource by resource: no list of names but the template's, except of functions."""

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lora_drop import settings
from lora_drop.adapters.s3_results import EXPIRES
from lora_drop.api_routes import ROUTES
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS
from lora_drop.jobs.notifications import MAX_TRIES
from tests.security.iam.policies import functions
from tests.support.template import of_type, properties, target, template

NAMES = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget", "Notify", "Fetch")
# Read by Powertools, boto3 and httpx themselves.
OF_LIBRARIES = re.compile(r"POWERTOOLS_\w+|AWS_ENDPOINT_URL|SSL_CERT_FILE|FAL_(QUEUE_)?RUN_HOST")


PARAMETERS: dict[str, Any] = template()["Parameters"]
NUMBERS = [name for name, each in PARAMETERS.items() if each["Type"] == "Number"]
ALL = ("/*", "*")
BUCKETS, QUEUES = of_type("AWS::S3::Bucket"), of_type("AWS::SQS::Queue")
SECRETS, ALARMS = of_type("AWS::SecretsManager::Secret"), of_type("AWS::CloudWatch::Alarm")


def environment_of(name: str) -> dict[str, Any]:
    own = properties(f"{name}Function").get("Environment", {})
    everywhere = template()["Globals"]["Function"]["Environment"]
    return {**everywhere["Variables"], **own.get("Variables", {})}


def test_there_are_seven_functions() -> None:
    assert set(functions()) == {f"{name}Function" for name in NAMES}


def test_every_trainer_can_be_chosen() -> None:
    parameter = template()["Parameters"]["FalApplication"]
    assert parameter["AllowedValues"] == list(TRAINERS)
    assert parameter["Default"] == DEFAULT.application
    # What a client has to know before it uploads.
    known = {
        "FalApplication",
        "MisspelledPresetFolder",
        "FaceCheck",
        "RequireOnePerson",
        "ProofSheet",
    }
    assert known <= template()["Outputs"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_handler_can_be_imported(name: str) -> None:
    module, _, function = properties(f"{name}Function")["Handler"].rpartition(".")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("name", NAMES)
def test_function_gets_its_settings(name: str) -> None:
    """A function gets every setting that it reads, and no other."""
    model = getattr(settings, f"{name}Settings")
    known = {field.upper(): info.is_required() for field, info in model.model_fields.items()}
    given = environment_of(name)
    assert {setting for setting, required in known.items() if required} <= set(given)
    assert [each for each in given if each not in known and not OF_LIBRARIES.fullmatch(each)] == []


@pytest.mark.promise("never pay twice")
def test_limits_are_the_same_everywhere() -> None:
    """Every function that counts slots and money has the same limits."""
    limits = ("MAX_IN_FLIGHT", "MONTHLY_BUDGET_USD", "MAX_JOB_USD")
    names = ("MaxInFlight", "MonthlyBudgetUsd", "MaxJobUsd")

    given = {name: [environment_of(name).get(limit) for limit in limits] for name in NAMES}

    same: list[object] = [{"Ref": name} for name in names]
    none: list[object] = [None] * 3
    assert given == {
        "Submit": same,
        "Reconcile": same,
        "Jobs": same,
        "Webhook": none,
        "Store": none,
        "Forget": none,
        "Notify": none,
        "Fetch": none,
    }
    assert [template()["Parameters"][name]["MinValue"] for name in names] == [1, 0, 0]


@pytest.mark.promise("never lose a result")
def test_late_jobs_precede_fal_expiry() -> None:
    """A late job is asked about long before fal deletes its result after an hour."""
    late = template()["Parameters"]["LateAfterSeconds"]
    assert late["Default"] <= late["MaxValue"] <= 3600 / 2


def test_parameters_are_used_and_explained() -> None:
    used = json.dumps([template()[part] for part in ("Conditions", "Globals", "Resources")])
    for name, parameter in template()["Parameters"].items():
        assert f'{{"Ref": "{name}"}}' in used
        assert parameter["Description"].endswith((".", "pem."))


def throttles() -> dict[tuple[str, str], tuple[int, int]]:
    """Rate and burst by path and method."""
    return {
        (each["ResourcePath"], each["HttpMethod"]): (
            each["ThrottlingRateLimit"],
            each["ThrottlingBurstLimit"],
        )
        for each in properties("Api")["MethodSettings"]
    }


@pytest.mark.promise("nothing leaks")
def test_only_the_webhook_is_open() -> None:
    """Only the webhook can be called without AWS credentials."""
    auth = properties("Api")["Auth"]
    events = [each for one in functions().values() for each in one.get("Events", {}).values()]
    routes = [each["Properties"] for each in events if each["Type"] == "Api"]
    [route] = [each for each in routes if each.get("Auth")]

    assert (auth["DefaultAuthorizer"], auth["InvokeRole"]) == ("AWS_IAM", "NONE")
    assert "Cors" not in properties("Api")
    assert route["Path"] == "/webhooks/fal/{job_id}/{token}"
    # It is throttled harder than all methods; in a method's settings `/` is `~1`.
    assert throttles()[ALL] == (50, 100)
    assert throttles()["/" + route["Path"].replace("/", "~1"), route["Method"]] < throttles()[ALL]


# What a service with a key may do; retry pays within the budget, as an upload does.
BY_KEY = {
    "createDataset",
    "createJob",
    "listJobs",
    "getJob",
    "listFiles",
    "readLogs",
    "cancelJob",
    "retryJob",
    "showBudget",
    "describe",
}


@pytest.mark.promise("nothing leaks")
def test_key_opens_few_routes() -> None:
    """An API key is off by default, and never lifts a limit, settles a doubt, redrives or erases."""
    assert PARAMETERS["ApiKeyAccess"]["Default"] == "false"
    names = ("KeyApi", "KeyApiPermission", "ServiceKey", "ServicePlan", "ServicePlanKey")
    for name in names:
        assert template()["Resources"][name]["Condition"] == "KeyCallersAllowed"
    paths = properties("KeyApi")["DefinitionBody"]["paths"]
    served = {
        (method.upper(), path): each for path in paths for method, each in paths[path].items()
    }
    assert served.keys() == {(each.method, each.path) for each in ROUTES if each.name in BY_KEY}
    for each in served.values():
        assert each["security"] == [{"api_key": []}]
        assert "${JobsFunction.Arn}" in each["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
    plan = properties("ServicePlan")
    assert plan["Throttle"]["RateLimit"] <= 5
    assert plan["Quota"]["Period"] == "DAY"


def test_pages_upload_only_where_allowed() -> None:
    """No page's script may write into the datasets bucket until its origin is named."""
    condition, rules, nothing = BUCKETS["DatasetsBucket"]["CorsConfiguration"]["Fn::If"]
    [rule] = rules["CorsRules"]
    assert (condition, nothing) == ("PagesUpload", {"Ref": "AWS::NoValue"})
    assert (rule["AllowedMethods"], rule["AllowedOrigins"]) == (["POST"], {"Ref": "UploadOrigins"})
    assert PARAMETERS["UploadOrigins"]["Default"] == ""


def test_api_logs_no_body_nor_path() -> None:
    for api in ("Api", "KeyApi"):
        assert "AccessLogSetting" not in properties(api)
        for method in properties(api)["MethodSettings"]:
            assert not {"DataTraceEnabled", "LoggingLevel"} & method.keys()
    # The path of a delivery holds its job's token, and API Gateway notes the whole path in a trace.
    assert "AccessLogSetting" not in properties("Api")


@pytest.mark.parametrize("name", NUMBERS)
def test_number_default_is_in_range(name: str) -> None:
    parameter = PARAMETERS[name]
    allowed = parameter.get("AllowedValues", [parameter["Default"]])
    least = parameter.get("MinValue", min(allowed))
    assert parameter["Default"] in allowed
    assert least <= parameter["Default"] <= parameter.get("MaxValue", parameter["Default"])


def test_environment_overrides_are_allowed(root: Path) -> None:
    config = tomllib.loads((root / "samconfig.toml").read_text())
    given = [
        override.split("=", 1)
        for environment in config.values()
        if isinstance(environment, dict)
        for override in environment["deploy"]["parameters"].get("parameter_overrides", "").split()
    ]

    assert given
    for name, value in given:
        allowed = [str(each) for each in PARAMETERS[name].get("AllowedValues", [value])]
        assert value in allowed


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
    has = BUCKETS[bucket]
    assert has["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True
    )
    assert has["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    [rule] = has["BucketEncryption"]["ServerSideEncryptionConfiguration"]
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
    # S3: it "cannot be specified with Days or Date in a Lifecycle Expiration Policy".
    [rule] = [rule for rule in rules if "ExpiredObjectDeleteMarker" in rule]
    # CloudFormation refuses a rule that has nothing else.
    also = rule.keys() - {"Id", "Status", "ExpiredObjectDeleteMarker"}
    assert also == {"AbortIncompleteMultipartUpload"}
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
    has = QUEUES[queue]
    ends = {
        target(each["deadLetterTargetArn"]) for each in values([*QUEUES.values()], "RedrivePolicy")
    }
    watched = {
        target(alarm["Dimensions"][0]["Value"])
        for alarm in ALARMS.values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
    }
    assert has["SqsManagedSseEnabled"] is True
    assert has["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert ("RedrivePolicy" in has) is (queue not in ends)
    assert ends <= QUEUES.keys()
    assert has.get("RedrivePolicy", {"maxReceiveCount": 5})["maxReceiveCount"] >= 5
    assert "RedrivePolicy" in has or queue in watched


def test_fetching_is_off_and_free_by_default() -> None:
    """Without DatasetHosts no queue is asked, and there is no alarm."""
    [orders] = properties("FetchFunction")["Events"].values()
    assert orders["Properties"]["Enabled"] == {"Fn::If": ["DatasetsAreFetched", True, False]}
    assert template()["Resources"]["FetchDeadLettersAlarm"]["Condition"] == "DatasetsAreFetched"
    assert PARAMETERS["DatasetHosts"]["Default"] == ""


def test_notifying_is_off_and_free_by_default() -> None:
    """Without a receiver there is no rule, no secret and no alarm of it, and its queue is not asked."""
    off = "OthersAreNotified"
    parts = {name for name, each in template()["Resources"].items() if each.get("Condition") == off}
    given = {"NotifySecret", "NotifyRule", "NotifyQueuePolicy", "NotifyDeadLettersAlarm"}
    [changes] = properties("NotifyFunction")["Events"].values()
    [statement] = properties("NotifyQueuePolicy")["PolicyDocument"]["Statement"]
    assert parts == given
    assert changes["Properties"]["Enabled"] == {"Fn::If": [off, True, False]}
    assert [PARAMETERS[name]["Default"] for name in ("NotifyUrl", "NotifyHosts")] == ["", ""]
    assert QUEUES["NotifyQueue"]["RedrivePolicy"]["maxReceiveCount"] == MAX_TRIES
    named = statement["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert named.endswith(":${AWS::AccountId}:rule/${AWS::StackName}-NotifyRule-*")


@pytest.mark.promise("never lose a result")
def test_no_change_is_dropped_before_its_queue() -> None:
    """A change that EventBridge cannot put into the notify queue is a dead letter, and its right is there before the rule."""
    rule = template()["Resources"]["NotifyRule"]
    [to] = rule["Properties"]["Targets"]
    policy = properties("NotifyQueuePolicy")
    assert rule["DependsOn"] == "NotifyQueuePolicy"
    assert target(to["DeadLetterConfig"]["Arn"]) == "NotifyDeadLetters"
    assert [target(each) for each in policy["Queues"]] == ["NotifyQueue", "NotifyDeadLetters"]


def test_inbox_accepts_its_bucket_only() -> None:
    policy = of_type("AWS::SQS::QueuePolicy")["InboxQueuePolicy"]
    [allowed] = policy["PolicyDocument"]["Statement"]

    assert [target(queue) for queue in policy["Queues"]] == ["InboxQueue"]
    assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    source = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(BUCKETS["DatasetsBucket"]["BucketName"]["Fn::Sub"])
