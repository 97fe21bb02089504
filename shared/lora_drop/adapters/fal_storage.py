"""fal's file storage, over the unmodified fal_client (https://fal.ai/docs/model-apis/fal-cdn)."""

from collections.abc import Callable
from time import monotonic

import fal_client
import httpx
from fal_client import client as vendor

from lora_drop.adapters.fal_key import UNAUTHORIZED, Key, usable_key
from lora_drop.adapters.fal_transport import (
    PASSING,
    REFUSALS,
    STORAGE_REFUSED,
    TO_OPERATORS,
    UNANSWERED,
    Advice,
)
from lora_drop.datasets.archives import RangedReader
from lora_drop.jobs.errors import FalUnavailableError, NotSubmittedError, SubmissionRefusedError
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.time_limits import UPLOAD_PATIENCE

PATIENCE = UPLOAD_PATIENCE.total_seconds()
SILENCE = 30.0  # seconds
KIND = "application/zip"
REFUSED = (STORAGE_REFUSED, "fal's storage does not take this dataset")


class FalStorage:
    """Uploads with the stack's own key."""

    def __init__(
        self,
        key: Key,
        rest_url: str,
        cdn_url: str,
        *,
        wire: Callable[[], httpx.BaseTransport] = httpx.HTTPTransport,
        tick: Callable[[], float] = monotonic,
        advice: Advice = TO_OPERATORS,
    ) -> None:
        self._key = key
        self._advice = advice
        self._hosts = rest_url.rstrip("/"), cdn_url.rstrip("/")
        self._wire = wire
        self._tick = tick

    def upload(self, archive: RangedReader, name: str, seconds: int) -> str:
        """Return the address of a copy that fal drops after so many seconds; memory for a part at a time.

        Up to 100 MB go in one piece and lie in memory for it, larger ones in parts of 10 MB, as
        fal_client itself has it. A key that fal refuses is tried once more in its newer form. Raises
        what reading the archive raises, NotSubmittedError, and SubmissionRefusedError.
        """
        try:
            key = usable_key(self._key())
            try:
                return self._upload(key, archive, name, seconds)
            except (fal_client.FalClientHTTPError, httpx.HTTPStatusError) as error:
                refused = error.response.status_code == UNAUTHORIZED
                newer = self._key.newer(key) if refused else None
                if newer is None:
                    raise
            return self._upload(usable_key(newer), archive, name, seconds)
        except (fal_client.FalClientHTTPError, httpx.HTTPStatusError) as error:
            raise _verdict(error.response, self._advice) from error
        except (FalUnavailableError, *UNANSWERED, KeyError, TypeError, ValueError) as error:
            raise NotSubmittedError(f"fal's storage: {type(error).__name__}") from error

    def _upload(self, key: str, archive: RangedReader, name: str, seconds: int) -> str:
        # Its hosts are constants of its module.
        vendor.REST_URL, vendor.CDN_URL = self._hosts
        client = fal_client.SyncClient(key=key)
        wire = _Until(self._wire(), self._tick, self._tick() + PATIENCE)
        token = client._token_manager.get_token()  # noqa: SLF001  # it has no other door to parts
        headers = {"Authorization": f"{token.token_type} {token.token}", "User-Agent": "lora-drop"}
        with httpx.Client(transport=wire, headers=headers) as http:
            if archive.size > vendor.MULTIPART_THRESHOLD:
                return _https(_in_parts(client, http, archive, name, seconds))
            client.__dict__["_get_cdn_client"] = lambda: http
            url = client.upload(
                archive.read(0, archive.size),
                KIND,
                name,
                # Another road to the same storage would be no better, and twice as long.
                fallback_repository=[],
                lifecycle=fal_client.StorageSettings(expires_in=seconds),
            )
        return _https(url)


def _in_parts(
    client: fal_client.SyncClient,
    http: httpx.Client,
    archive: RangedReader,
    name: str,
    seconds: int,
) -> str:
    upload = vendor.MultipartUpload(
        file_name=name,
        client=http,
        token_manager=client._token_manager,  # noqa: SLF001  # as above
        content_type=KIND,
    )
    upload.create({"expiration_duration_seconds": seconds})
    starts = range(0, archive.size, upload.chunk_size)
    for number, start in enumerate(starts, start=1):
        upload.upload_part(number, archive.read(start, upload.chunk_size))
    return upload.complete()


def _https(url: object) -> str:
    if not isinstance(url, str) or not url.startswith("https://"):
        raise ValueError("the address of an upload is none")
    return url


def _verdict(answer: httpx.Response, advice: Advice) -> NotSubmittedError | SubmissionRefusedError:
    """Return what an answer that is no success says of the next try."""
    status = answer.status_code
    if not answer.is_client_error or status in PASSING:
        return NotSubmittedError(f"fal's storage answered {status}")
    of_account = {each: (code, words) for each, (code, held, words) in REFUSALS.items() if held}
    code, words = of_account.get(status, REFUSED)
    message = f"{advice.said(code, words, held=True)}. fal's storage says {status}."
    problem = Problem(code=code, message=message)
    return SubmissionRefusedError(problem, held=True, to_caller=advice.to_caller)


class _Until(httpx.BaseTransport):
    """A transport that ends each request at a deadline."""

    def __init__(self, inner: httpx.BaseTransport, tick: Callable[[], float], until: float) -> None:
        self._inner = inner
        self._tick = tick
        self._until = until

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer; raises FalUnavailableError, which fal_client's own repetitions let pass."""
        left = self._until - self._tick()
        if left <= 0:
            raise FalUnavailableError("the upload takes too long")
        request.extensions["timeout"] = httpx.Timeout(min(left, SILENCE)).as_dict()
        return self._inner.handle_request(request)

    def close(self) -> None:
        """End the connection."""
        self._inner.close()
