"""The whole stack on one machine: emulator, fal simulator, and the real template deployed there."""

import errno
import json
import shutil
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from ipaddress import ip_address
from pathlib import Path
from socket import gethostbyname
from typing import Any, Self

import httpx

from lora_drop.local import deployment, overlay, tools
from lora_drop.local.emulator import CREDENTIALS, REGION, start_emulator
from lora_drop.local.fal_server import fal_at, start_simulator
from lora_drop.local.inputs import what_is_wrong
from lora_drop.local.processes import NotStartedError
from lora_drop.local.state_file import ELSEWHERE, Record, RunningStack, StackError
from lora_drop.local.tools import MissingExtraError, require_extra, state_folder
from lora_drop.simulator.config import photos_in
from lora_drop.simulator.errors import IMAGES

HOME = tools.HOME
SAMPLE = Path(__file__).with_name("samples") / "astronaut.zip"
OLDER = (
    "The stack still runs; some of it may be of this version already. If an older version brought it up, the "
    "emulator cannot change all of it: lora-drop down, then lora-drop up. Its jobs and buckets on this machine are gone then; its logs stay."
)
FOREIGN_HOST = (errno.EADDRNOTAVAIL, socket.EAI_NONAME)
NO_SUCH_HOST = "--host takes an address of this machine."
LOOPBACK = "127.0.0.1"
TRAINING_SECONDS = 3.0
LEDGER_TIMEOUT = 5.0  # seconds

type Step = Callable[[str], AbstractContextManager[None]]
"""Shows what is being done for as long as it is."""
type Say = Callable[[str], None]
"""Tells a person one line."""


class LocalStack:
    """The stack of one state folder."""

    sample = SAMPLE

    def __init__(self, state: Path) -> None:
        self.state = state.absolute()
        self._record = Record(self.state)
        self.sam_environments = self.state / "sam-env.json"

    @classmethod
    def here(cls) -> Self:
        """The stack that the command speaks of."""
        return cls(state_folder())

    def running(self) -> RunningStack | None:
        """The stack, if it was brought up and still runs; raises StackError."""
        stack = self._record.stack()
        return stack if stack is not None and stack.alive and stack.outputs else None

    def access(self) -> dict[str, Any] | None:
        """What a client needs to reach the running stack; None when it is down.

        Raises StackError.
        """
        stack = self.running()
        if stack is None:
            return None
        return {
            "name": deployment.STACK,
            "home": str(self.state),
            "endpoint_url": stack.emulator_url,
            "api_url": deployment.api_url(stack.emulator_url),
            "key_api_url": (
                deployment.api_url(stack.emulator_url, overlay.KEY_API_ID)
                if "KeyApiUrl" in stack.outputs
                else None
            ),
            "region": REGION,
            "access_key": CREDENTIALS["AWS_ACCESS_KEY_ID"],
            "secret_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            "fal_url": stack.fal.url,
            "fal_ca_file": str(stack.fal.ca_file or ""),
            "fal_simulated": stack.fal.simulated,
            "fal_pictures": str(stack.fal.pictures or ""),
            "outputs": stack.outputs,
            "sam_local": self._sam_local(stack),
        }

    def up(
        self,
        *,
        step: Step,
        fal: str | None = None,
        fal_ca: Path | None = None,
        host: str | None = None,
        training_seconds: float | None = None,
        pictures: Path | None = None,
        parameters: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start what does not run yet, build and deploy what has changed; raises StackError.

        A stack that runs keeps its processes, its data, its fal and its ``parameters`` (the
        template's, as far as no other are given), and gets today's code. Where ``parameters`` are given to
        it, they change alone. What is decided when it starts cannot be asked of it then. ``pictures``: a folder of
        photos that the simulator answers with. ``variables`` go over those of the functions' environment.
        """
        try:
            require_extra()
        except MissingExtraError as missing:
            raise StackError(str(missing)) from missing
        if wrong := what_is_wrong(parameters or {}):
            raise StackError(wrong)
        pictures = _folder_of_photos(pictures)
        stack = self.running()
        if stack is not None and (fal, host, training_seconds, pictures) != (None,) * 4:
            raise StackError(
                "A stack is up, and its fal, its address, its training time and its pictures were decided when "
                "it started. Run lora-drop down first, or lora-drop up without options."
            )
        try:
            if stack is None:
                self._clear()
                seconds = TRAINING_SECONDS if training_seconds is None else training_seconds
                stack = self._start(step, fal, fal_ca, host or LOOPBACK, seconds, pictures)
            given = {**stack.parameters, **(parameters or {})}
            stack = stack.model_copy(update={"parameters": given})
            alone = bool(parameters and stack.outputs and not variables)
            changes = self._deployed(step, stack, variables or {}, alone=alone)
            self._record.write(stack.model_copy(update=changes))
        except OSError as error:
            other = NO_SUCH_HOST if error.errno in FOREIGN_HOST else ELSEWHERE
            raise StackError(f"The stack cannot be brought up: {error}. {other}") from error
        except (NotStartedError, deployment.SamError, ValueError) as error:
            raise StackError(str(error)) from error
        finally:
            if self.running() is None:
                self._record.end()

    def _deployed(
        self, step: Step, stack: RunningStack, variables: Mapping[str, str], *, alone: bool
    ) -> dict[str, Any]:
        """What changes in what is known of the stack; ``alone``: its parameters change, its code does not."""
        url, started = stack.emulator_url, self._record.keep
        values = {**deployment.parameters(stack.fal, url), **stack.parameters}
        if alone:
            with step("parameters"):
                deployment.update(values, url)
        else:
            with step("unchanged build" if deployment.is_built(self.state) else "sam build"):
                template = deployment.build(self.state, stack.fal, started=started)
            built = deployment.digest_of_build(self.state)
            if stack.outputs and (built, {**values, **variables}) == (stack.built, stack.deployed):
                deployment.put_fal_key(url, stack.outputs["FalKeySecretArn"], stack.fal.key)
                return {}
            with step("deploy"):
                over = {**overlay.variables(url, stack.fal), **variables}
                overlay.lay_over(deployment.plain_template(self.state), over, template)
                try:
                    deployment.deploy(template, values, url)
                except deployment.SamError as error:
                    raise StackError(
                        f"{error}\n\n{OLDER}" if stack.outputs else str(error)
                    ) from error
        outputs = deployment.outputs(url)
        deployment.put_fal_key(url, outputs["FalKeySecretArn"], stack.fal.key)
        deployment.write_environments(self.sam_environments, url, outputs)
        built = stack.built if alone else built
        return {"outputs": outputs, "built": built, "deployed": {**values, **variables}}

    def is_behind(self) -> bool:
        """Whether the stack runs other code than today's."""
        stack = self.running()
        return stack is not None and stack.built != tools.sources_digest()

    def ledger(self) -> dict[str, Any] | None:
        """What the fal simulator saw and served; None without one that runs; raises StackError."""
        stack = self._record.stack()
        if stack is None or stack.simulator is None or not stack.simulator.alive:
            return None
        url = f"{stack.fal.url}/_sim/ledger"
        try:
            context = ssl.create_default_context(cafile=stack.fal.ca_file)
            with httpx.Client(verify=context, trust_env=False, timeout=LEDGER_TIMEOUT) as client:
                return dict(client.get(url).raise_for_status().json())
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise StackError(f"The simulator's ledger could not be had: {error}") from error

    def down(self, *, say: Say) -> bool:
        """End the stack and forget its data; False if there was none; raises StackError.

        Logs stay, and the simulator's ledger as ``ledger.json``, if it can be had.
        """
        try:
            if (ledger := self.ledger()) is not None:
                (self.state / "ledger.json").write_text(json.dumps(ledger, indent=2))
        except (StackError, OSError) as failure:
            say(str(failure))
        return self._clear()

    def _clear(self) -> bool:
        was_up = self._record.end()
        for folder in ("fal", "s3", "state", "tmp"):  # what is built stays
            shutil.rmtree(self.state / folder, ignore_errors=True)
        return was_up

    def _start(
        self,
        step: Step,
        fal: str | None,
        fal_ca: Path | None,
        host: str,
        training_seconds: float,
        pictures: Path | None,
    ) -> RunningStack:
        server = fal_at(fal, fal_ca) if fal else None
        simulator, started = None, self._record.keep
        with step("AWS emulator"):
            emulator = start_emulator(self.state, host, started=started)
        if server is None:
            with step("fal simulator"):
                simulator, server = start_simulator(
                    self.state, host, training_seconds, pictures, started=started
                )
        stack = RunningStack(
            emulator=emulator.process,
            emulator_url=emulator.url,
            simulator=simulator,
            fal=server,
            host=host,
        )
        self._record.write(stack)
        return stack

    def _sam_local(self, stack: RunningStack) -> str:
        """A command that runs a function in a container; empty where none can reach the stack."""
        if ip_address(gethostbyname(stack.host)).is_loopback:
            return ""
        return deployment.sam_local_line(self.state, self.sam_environments)


def _folder_of_photos(folder: Path | None) -> Path | None:
    """Return the folder's whole path; raises StackError where it has no photos."""
    if folder is not None and not photos_in(folder):
        raise StackError(f"{folder} is no folder with photos: {', '.join(IMAGES)}")
    return folder and folder.absolute()
