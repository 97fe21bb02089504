"""A program that uses every public name: mypy looks at it strictly, and allows no Any."""

# mypy: disallow-any-expr, disallow-any-explicit
# ruff: noqa: C901, PLR0911, T201

import asyncio
from pathlib import Path

import lora_drop
from lora_drop import webhooks


def seen(event: lora_drop.JobEvent) -> str:
    """Return what an event says."""
    match event:
        case lora_drop.StatusChanged(status, at):
            return f"{status.value} {at:%H:%M}"
        case lora_drop.Waiting(taken, slots, before):
            return f"{taken} of {slots}, {before} first"
        case lora_drop.Queued(position):
            return f"{position}"
        case lora_drop.Training(step, steps, percent, eta):
            left = "" if eta is None else f"{eta.total_seconds():.0f} s"
            return f"{step} of {steps}, {percent:.0f} %, {left}"
        case lora_drop.Log(message, _):
            return message
        case lora_drop.Stored(files):
            return ", ".join(file.name for file in files)
        case lora_drop.StackUnreachable(reason):
            return reason
        case lora_drop.StackAnswers(after):
            return f"{after.total_seconds():.0f} s"
        case lora_drop.Held(problems):
            return " ".join(problem.message for problem in problems)
        case lora_drop.Ended(status):
            return status.value


def described(job: lora_drop.JobView) -> list[str]:
    """Return everything that is known of a job."""
    texts = (
        *(job.id, job.status.value, job.dataset, job.reference, job.trainer, job.preset),
        *(job.trigger_phrase, job.request_id, job.duplicate_of, job.retry_of, job.location),
    )
    numbers: tuple[int | None, ...] = (job.steps, job.images, job.queue_position)
    times = (job.created_at, job.updated_at)
    flags = (job.seen, job.ended, job.billed)
    progress = f"{job.progress.percent} {job.progress.eta_seconds}" if job.progress else ""
    stored: tuple[lora_drop.StoredFile, ...] = job.stored
    header = f"{job.lora.ranks} {job.lora.dtypes} {job.lora.metadata}" if job.lora else ""
    return [
        *(str(each) for each in (*texts, *numbers, *times, *flags)),
        *(f"{each.code} {each.member} {each.message}" for each in job.problems),
        *(f"{each.name} {each.size} {each.sha256}" for each in stored),
        *(progress, f"{job.estimate}", header, *job.earlier),
    ]


def differences(changes: lora_drop.JobChanges | None) -> list[str]:
    """Return what a job has otherwise than another."""
    if changes is None:
        return []
    photos: lora_drop.PhotoChanges | None = changes.photos
    said = [f"{name} {before} {after}" for name, (before, after) in changes.parameters.items()]
    said += [f"{changes.other_content}"]
    return [*said, *(*photos.added, *photos.removed, *photos.captions)] if photos else said


def beside(compared: lora_drop.Comparison) -> list[str]:
    """Return two jobs beside each other."""
    jobs: tuple[lora_drop.JobSummary, ...] = (compared.a, compared.b)
    return [
        *(f"{job.job_id} {job.paid_usd} {job.seconds} {job.likeness} {job.ranks}" for job in jobs),
        *(f"{number} {mine} {theirs}" for number, (mine, theirs) in compared.pictures.items()),
        *differences(compared.changes),
    ]


def listed(history: tuple[lora_drop.HistoryEntry, ...]) -> list[str]:
    """Return the jobs of a dataset, each with what it has changed."""
    return [line for each in history for line in (each.job.id, *differences(each.changes))]


def checked(report: lora_drop.Report) -> float:
    """Return what it would cost."""
    problems: tuple[lora_drop.Problem, ...] = report.problems
    estimate: lora_drop.Estimate | None = report.estimate
    if not report.accepted or problems or estimate is None:
        return 0.0
    return estimate.usd / estimate.steps


def run() -> lora_drop.JobResult:
    """Train, one after the other."""
    with lora_drop.LoraDrop(stack="local", profile="mine", region="eu-central-1") as drop:
        checked(drop.check(Path("photos"), preset="portrait", steps=1500, learning_rate=0.0001))
        first = drop.train("s3://bucket/ada.zip", trigger_phrase="ada", reference="user-42")
        job: lora_drop.Job = drop.train(
            b"",
            reference="user-42",
            notify_url="https://example.com",
            force_retrain=True,
            proof=True,
            key="a.zip",
            progress=lambda sent, size: print(sent / size),
            multiresolution_training=True,
            subject_crop=True,
            create_masks=False,
            data_archive_format="zip",
            resume_from_checkpoint=first.id,
        )
        for event in job.events(timeout=60, patience=30):
            print(seen(event))
        described(job.refresh().wait(timeout=1.5, patience=1))
        described(drop.job(job.id).cancel().retry(resume=True).approve())
        for each in drop.jobs(status=lora_drop.Status.READY, reference="user-42", dataset="ada"):
            print(each.id, [line.message for line in each.logs()])
            links: list[lora_drop.JobFile] = list(each.files())
            print(
                [f"{link.name} {link.url} {link.expires_at:%H:%M} {link.sha256}" for link in links]
            )
            print(each.download("all"))
        print(listed(drop.history("ada", limit=5)), beside(drop.compare(first.id, job.id)))
        result = job.result(timeout=60, patience=600)
        print(
            result.trigger_phrase, result.lora and result.lora.sha256, result.config, result.files
        )
        print([path.name for path in result.download("loras/")], described(result.job))
        return result


async def run_async() -> lora_drop.AsyncJobResult:
    """Train, for asyncio."""
    async with lora_drop.AsyncLoraDrop("local", profile=None, region=None) as drop:
        report = await drop.check("photos/")
        job: lora_drop.AsyncJob = await drop.train(report, trigger_phrase="ada", proof=False)
        async for event in job.events(patience=30):
            print(seen(event))
        described(await (await job.refresh()).wait(patience=1))
        described(await (await (await (await drop.job(job.id)).cancel()).retry()).approve())
        async for each in drop.jobs(reference="user-42"):
            print([line.message for line in await each.logs()], await each.files())
            print(await each.download(Path("all")))
        print(listed(await drop.history("ada")), beside(await drop.compare("a", job.id)))
        result = await job.result(patience=600)
        print([path.name for path in await result.download("loras/")], result.lora, result.config)
        return result


def direct(body: bytes, headers: webhooks.Headers) -> str:
    """Train with a fal key alone, and take fal's webhooks."""
    trainer = lora_drop.PortraitTrainer("key")
    checked(trainer.check(Path("photos"), steps=1500))
    request_id = trainer.submit(Path("photos"), trigger_phrase="ada")
    delivery = webhooks.unwrap(body, headers, user_id="me")
    changed = webhooks.unwrap_event(body, headers, secret="whsec_")
    print(changed.change.job_id, changed.timestamp)
    if isinstance(delivery, webhooks.TrainingResult) and delivery.lora:
        return delivery.lora.url
    return request_id


async def direct_async() -> str | None:
    """Train with a fal key alone, for asyncio."""
    trainer = lora_drop.AsyncPortraitTrainer("key")
    checked(await trainer.check(b""))
    result = await trainer.train(b"", trigger_phrase="ada")
    return result.lora.url if result.lora else None


def main() -> str:
    """Run it all, and say what came of it."""
    try:
        run()
        asyncio.run(run_async())
        return f"{direct(b'', {})} {asyncio.run(direct_async())} {lora_drop.__version__}"
    except (lora_drop.InsufficientImagesError, lora_drop.InvalidArchiveError) as error:
        return f"{error.sentence} {error.problem.message}"
    except lora_drop.DatasetRejectedError as error:
        return error.code + " ".join(problem.message for problem in error.report.problems)
    except lora_drop.OverBudgetError as error:
        return f"{error.estimate} {described(error.job)}"
    except lora_drop.JobHeldError as error:
        return f"{described(error.job)}"
    except lora_drop.TrainingFailedError as error:
        return f"{error.job and described(error.job)} {error.problem.code} {error.billed}"
    except (lora_drop.JobNotFoundError, lora_drop.JobTimeoutError) as error:
        return str(error)
    except (lora_drop.StackUnreachableError, lora_drop.CommandError) as error:
        return str(error)
    except (lora_drop.SubmissionRefusedError, lora_drop.SubmissionUnknownError) as error:
        return str(error)
    except (lora_drop.NotSubmittedError, lora_drop.FalUnavailableError) as error:
        return str(error)
    except (lora_drop.InvalidSignatureError, lora_drop.SigningKeysUnavailableError) as error:
        return str(error)
    except (
        lora_drop.ResultGoneError,
        lora_drop.ResultUnreadableError,
        lora_drop.LoraDropError,
    ) as error:
        return str(error)
