"""Where fal_client uploads files: in one piece, in parts, or by way of a signed address."""

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus

from aiohttp import web

from lora_drop.simulator.files import CHUNK, PublicFile, PublicFiles
from lora_drop.simulator.wire import answer, authorized, now, unauthorized

TOKEN_LIFE = timedelta(hours=1)
MALFORMED = (KeyError, TypeError, ValueError)
UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
FILE = "/files/{folder}/{name}"


@dataclass(slots=True)
class Multipart:
    """An upload in parts, by number."""

    path: str
    name: str
    content_type: str
    expires_at: datetime | None
    parts: dict[int, PublicFile] = field(default_factory=dict)


class Storage:
    """Takes files and has the CDN serve them, as long as their lifecycle says.

    Access rules are taken and ignored.
    """

    def __init__(self, files: PublicFiles, *, base_url: str, key: str) -> None:
        self._files = files
        self._base_url = base_url
        self._key = key
        self._tokens: set[str] = set()
        self._multiparts: dict[str, Multipart] = {}
        self._initiated: dict[str, tuple[str, str, str, datetime | None]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where files are uploaded to."""
        return [
            web.post("/storage/auth/token", self.token),
            web.post("/storage/upload/initiate", self.initiate),
            web.put("/storage/upload/{ticket}", self.put),
            web.post("/files/upload", self.upload),
            web.post("/files/upload/multipart", self.start_multipart),
            web.put(FILE + r"/multipart/{upload_id}/{number:\d+}", self.put_part),
            web.post(FILE + "/multipart/{upload_id}/complete", self.complete_multipart),
        ]

    async def token(self, http: web.Request) -> web.Response:
        """A token for the CDN."""
        if not authorized(http, self._key):
            return unauthorized()
        token = secrets.token_urlsafe(32)
        self._tokens.add(token)
        return answer(
            {
                "token": token,
                "token_type": "Bearer",
                "base_url": self._base_url,
                "expires_at": (now() + TOKEN_LIFE).isoformat(),
            }
        )

    async def upload(self, http: web.Request) -> web.Response:
        """A file in one piece."""
        if not self._has_token(http):
            return unauthorized()
        name = http.headers.get("X-Fal-File-Name", "upload.bin")
        try:
            expires_at = _expiry(http)
        except MALFORMED:
            return answer({"detail": "X-Fal-Object-Lifecycle"}, UNPROCESSABLE)
        path = self._files.new_path(name)
        file = await self._keep(http, path, name, http.content_type, expires_at)
        return answer({"access_url": self._files.url(file.path)})

    async def initiate(self, http: web.Request) -> web.Response:
        """An address that takes a file without a key, and the one it will be served from."""
        if not authorized(http, self._key):
            return unauthorized()
        try:
            wanted = await http.json()
            name, content_type = str(wanted["file_name"]), str(wanted["content_type"])
            expires_at = _expiry(http)
        except MALFORMED:
            return answer({"detail": "file_name and content_type"}, UNPROCESSABLE)
        ticket, path = secrets.token_urlsafe(24), self._files.new_path(name)
        self._initiated[ticket] = (path, name, content_type, expires_at)
        return answer(
            {
                "upload_url": f"{self._base_url}/storage/upload/{ticket}",
                "file_url": self._files.url(path),
            }
        )

    async def put(self, http: web.Request) -> web.Response:
        """The file that an address was made for."""
        found = self._initiated.get(http.match_info["ticket"])
        if found is None:
            return answer({"detail": "Not Found"}, HTTPStatus.NOT_FOUND)
        await self._keep(http, *found)
        return web.Response()

    async def start_multipart(self, http: web.Request) -> web.Response:
        """An upload in parts."""
        if not self._has_token(http):
            return unauthorized()
        name = http.headers.get("X-Fal-File-Name", "upload.bin")
        upload_id = secrets.token_hex(16)
        try:
            expires_at = _expiry(http)
        except MALFORMED:
            return answer({"detail": "X-Fal-Object-Lifecycle"}, UNPROCESSABLE)
        multipart = Multipart(self._files.new_path(name), name, http.content_type, expires_at)
        self._multiparts[upload_id] = multipart
        return answer({"access_url": self._files.url(multipart.path), "uploadId": upload_id})

    async def put_part(self, http: web.Request) -> web.Response:
        """One part; the same number again replaces it."""
        multipart = self._multipart(http)
        if not self._has_token(http):
            return unauthorized()
        if multipart is None:
            return answer({"detail": "Not Found"}, HTTPStatus.NOT_FOUND)
        number = int(http.match_info["number"])
        part = await self._keep(http, self._files.new_path("part"), "part", http.content_type)
        if replaced := multipart.parts.get(number):
            self._files.remove(replaced.path)
        multipart.parts[number] = part
        return web.Response(headers={"ETag": part.etag})

    async def complete_multipart(self, http: web.Request) -> web.Response:
        """The parts, one behind the other; 400 when they are not those that came in."""
        multipart = self._multipart(http)
        if not self._has_token(http):
            return unauthorized()
        if multipart is None:
            return answer({"detail": "Not Found"}, HTTPStatus.NOT_FOUND)
        try:
            listed = {part["partNumber"]: part["etag"] for part in (await http.json())["parts"]}
        except MALFORMED:
            return answer({"detail": "parts of partNumber and etag"}, UNPROCESSABLE)
        if listed != {number: part.etag for number, part in multipart.parts.items()}:
            return answer({"detail": "The parts do not match"}, HTTPStatus.BAD_REQUEST)
        await asyncio.to_thread(self._join, multipart)
        del self._multiparts[http.match_info["upload_id"]]
        return answer({"access_url": self._files.url(multipart.path)})

    def _join(self, multipart: Multipart) -> None:
        parts = [multipart.parts[number] for number in sorted(multipart.parts)]
        with self._files.incoming(multipart.name) as whole:
            for part in parts:
                for chunk in part.chunks(0, part.size):
                    whole.write(chunk)
            self._files.publish(
                whole, multipart.path, multipart.name, multipart.content_type, multipart.expires_at
            )
        for part in parts:
            self._files.remove(part.path)

    def _multipart(self, http: web.Request) -> Multipart | None:
        found = self._multiparts.get(http.match_info["upload_id"])
        return found if found and http.path.startswith(f"{found.path}/multipart/") else None

    def _has_token(self, http: web.Request) -> bool:
        kind, _, token = http.headers.get("Authorization", "").partition(" ")
        return kind == "Bearer" and token in self._tokens

    async def _keep(
        self,
        http: web.Request,
        path: str,
        name: str,
        content_type: str,
        expires_at: datetime | None = None,
    ) -> PublicFile:
        """Write the body to disk and serve it."""
        with self._files.incoming(name) as file:
            async for chunk in http.content.iter_chunked(CHUNK):
                file.write(chunk)
            return self._files.publish(file, path, name, content_type, expires_at)


def _expiry(http: web.Request) -> datetime | None:
    """When fal drops the file; raises one of MALFORMED. fal_client sends both headers everywhere."""
    said = http.headers.get("X-Fal-Object-Lifecycle") or http.headers.get(
        "X-Fal-Object-Lifecycle-Preference"
    )
    seconds = json.loads(said)["expiration_duration_seconds"] if said else None
    return None if seconds is None else now() + timedelta(seconds=float(seconds))
