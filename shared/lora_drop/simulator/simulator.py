"""One simulator: its parts put together, on one address."""

import socket
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from lora_drop.simulator.cdn import Cdn
from lora_drop.simulator.config import Access, SimulatorConfig
from lora_drop.simulator.control import Control
from lora_drop.simulator.errors import Outcome
from lora_drop.simulator.faults import Faults
from lora_drop.simulator.files import PublicFiles
from lora_drop.simulator.image_inputs import IMAGE_MODELS
from lora_drop.simulator.image_model import ImageModel
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.platform_api import PlatformApi
from lora_drop.simulator.queue_api import QueueApi
from lora_drop.simulator.requests import ModelRequest, Requests
from lora_drop.simulator.runner import Runner
from lora_drop.simulator.slots import Slots
from lora_drop.simulator.storage import Storage
from lora_drop.simulator.trainer import Trainer
from lora_drop.simulator.webhooks import Deliveries
from lora_drop.simulator.wire import WebhookKey, client_context, server_context

MAX_BODY = 512 * 1024**2  # a data URI holds a whole dataset
GRACE = 0.2  # seconds that open calls have when it stops


class Simulator:
    """Serves from ``start`` to ``stop``, within one event loop."""

    def __init__(self, config: SimulatorConfig, state: Path) -> None:
        self._config = config
        self._state = state
        self._session: aiohttp.ClientSession | None = None
        self._deliveries: Deliveries | None = None
        self._slots: Slots | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> Access:
        """Listen; OSError when the address cannot be had."""
        config = self._config
        bound = _bind(config.host, config.port)
        try:
            context, ca_file = server_context(self._state, config.host)
            address, port = bound.getsockname()[:2]
            access = _access(config, port, ca_file)
            await self._serve(self._application(access, address), bound, context)
        except BaseException:
            bound.close()
            await self.stop()
            raise
        return access

    async def stop(self) -> None:
        """End trainings, deliveries and connections."""
        if self._runner:  # first of all: what comes in now would start work that nothing ends
            await self._runner.cleanup()
        if self._slots:
            await self._slots.close()
        if self._deliveries:
            await self._deliveries.close()
        if self._session:
            await self._session.close()

    def _application(self, access: Access, address: str) -> web.Application:
        config, faults, ledger, requests = self._config, Faults(), Ledger(), Requests()
        key, files = WebhookKey.of(self._state), PublicFiles(self._state, access.url)
        connector = aiohttp.TCPConnector(ssl=client_context(access.ca_file), force_close=True)
        session = self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            requote_redirect_url=False,  # a presigned URL does not survive being quoted again
        )
        runner = Runner(config, session, files)
        trainer = Trainer(runner, faults=faults, ledger=ledger)
        images = ImageModel(runner, faults=faults, ledger=ledger)

        def work(request: ModelRequest) -> Coroutine[Any, Any, Outcome]:
            """Have the model of the endpoint work on it."""
            model = images.generate if request.endpoint_id in IMAGE_MODELS else trainer.train
            return model(request)

        deliveries = self._deliveries = Deliveries(
            config, session=session, key=key, faults=faults, ledger=ledger
        )
        slots = self._slots = Slots(
            config.max_in_progress, ledger=ledger, work=work, ended=deliveries.start
        )
        queue = QueueApi(
            config,
            base_url=access.url,
            requests=requests,
            slots=slots,
            faults=faults,
            ledger=ledger,
        )
        application = web.Application(client_max_size=MAX_BODY)
        for part in (
            Control(
                requests=requests, faults=faults, ledger=ledger, deliveries=deliveries, key=key
            ),
            PlatformApi(config, requests, files, address=address),
            Storage(files, base_url=access.url, key=config.key),
            Cdn(files, faults=faults, ledger=ledger),
            queue,
        ):
            application.add_routes(part.routes())
        return application

    async def _serve(
        self, application: web.Application, bound: socket.socket, context: ssl.SSLContext
    ) -> None:
        runner = self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=GRACE)
        await runner.setup()
        await web.SockSite(runner, bound, ssl_context=context).start()


def _bind(host: str, port: int) -> socket.socket:
    """The address is bound, but connections are accepted only once the server answers."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _access(config: SimulatorConfig, port: int, ca_file: Path) -> Access:
    name = f"[{config.host}]" if ":" in config.host else config.host
    return Access(
        url=f"https://{name}:{port}",
        host=config.host,
        port=port,
        host_port=f"{name}:{port}",
        ca_file=ca_file.absolute(),
        user_id=config.user_id,
        key=config.key,
    )
