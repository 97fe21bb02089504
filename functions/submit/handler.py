"""A dataset has arrived: S3's event, in the inbox queue or bare; or the pictures of a proof sheet have ended."""

from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.batch import process_messages
from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.jobs.errors import JobForgottenError
from lora_drop.jobs.ids import digest_of, job_id_for
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.status import Status
from lora_drop.messages import ProofRequest, S3Notice, inbox_message
from lora_drop.observability import SUBMIT_OUTCOMES, Metric, about
from lora_drop.services.internal_errors import frames_of, place_of
from lora_drop.settings import SubmitSettings, load

logger, metrics = Logger(), Metrics()


@cache
def bootstrap() -> SubmitBootstrap:
    """Return the function's world, built on first use."""
    return SubmitBootstrap(load(SubmitSettings), faces_failed)


def faces_failed(mistake: Exception) -> None:
    """Count and log that looking for faces broke: where, and nothing of a photo."""
    metrics.add_metric(Metric.FACES_UNAVAILABLE, MetricUnit.Count, 1)
    logger.error("faces broke", reason=place_of(mistake), frames=frames_of(mistake))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Submit each dataset once; a message that fails comes back alone."""
    if any("s3" in record for record in event.get("Records", [])) or "Event" in event:
        submit_all(S3Notice.model_validate(event))
        return {"batchItemFailures": []}
    observers = (logger, metrics)
    return process_messages(
        event,
        context,
        handle,
        Metric.DATASET_FAILED,
        observers,
        again=partial(handle, again=True),
    )


def handle(body: str, *, again: bool = False) -> None:
    """Do what a message of the inbox queue is about; ``again``: it was delivered before."""
    message = inbox_message(body)
    if isinstance(message, ProofRequest):
        finish_proof(message.proof_of, again=again)
    else:
        submit_all(message)


def finish_proof(job_id: str, *, again: bool) -> None:
    """Finish the proof sheet of a training, once all its pictures have ended."""
    about(job_id, logger)
    try:
        job = bootstrap().proof_sheets.finish(job_id, again=again)
    except JobForgottenError as forgotten:
        about("", logger)
        logger.info("proof sheet of a forgotten job dropped", digest=digest_of(str(forgotten)))
        return
    about(job, logger)
    logger.info("proof sheet handled", done=job.proof is not None and not job.proof_open)


def submit_all(notice: S3Notice) -> None:
    """Submit every dataset that the notification names; ``s3:TestEvent`` names none."""
    for dataset in notice.datasets():
        about(job_id_for(dataset.bucket, dataset.key, dataset.version_id), logger)
        try:
            submit(dataset)
        except JobForgottenError as forgotten:
            about("", logger)
            logger.info("dataset of a forgotten job dropped", digest=digest_of(str(forgotten)))


def submit(dataset: DatasetVersion) -> None:
    """Submit one dataset, and count and log what became of it and of the jobs that were sent."""
    if lack := bootstrap().faces_lack:
        metrics.add_metric(Metric.FACES_UNAVAILABLE, MetricUnit.Count, 1)
        logger.error("faces cannot be looked for", reason=lack)
    result = bootstrap().submitter.submit_dataset(dataset)
    rejected = [result.job] if result.job.status is Status.REJECTED else []
    for each in (*rejected, *result.sent):
        if each.status in SUBMIT_OUTCOMES:
            metrics.add_metric(SUBMIT_OUTCOMES[each.status], MetricUnit.Count, 1)
    about(result.job, logger)
    logger.info("dataset received", status=result.job.status)
    for each in result.sent:
        about(each, logger)
        logger.info("job sent", status=each.status)
