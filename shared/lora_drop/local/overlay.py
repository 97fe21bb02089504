"""What the functions have in their environment on an emulator and nowhere else.

AWS and fal need none of it, so template.yaml has no parameters for it: these variables are laid over the template
that SAM has built, before it is deployed to the emulator.
"""

from collections.abc import Mapping
from pathlib import Path

from lora_drop.local.fal_server import FalServer
from lora_drop.local.simulator_words import simulated_words

CA_IN_FUNCTION = "private-ca.pem"  # where functions/Makefile puts the file that CA_FILE names
API_TAG = "ms-custom-id"  # the emulator gives an API the id that this tag asks for
KEY_API_ID = "10cade1d"  # of the API for callers with a key; the stack's tag is for the other one


def variables(emulator_url: str, fal: FalServer | None = None) -> dict[str, str]:
    """Where AWS is, and where fal is unless it is fal itself."""
    # A receiver or a dataset's host on this machine has an address of a private network.
    found = {
        "AWS_ENDPOINT_URL": emulator_url,
        "ALLOW_PRIVATE_NOTIFY_HOSTS": "true",
        "ALLOW_PRIVATE_DATASET_HOSTS": "true",
    }
    if fal is not None:
        found |= {
            "FAL_RUN_HOST": fal.host_port,
            "FAL_QUEUE_RUN_HOST": fal.host_port,
            "FAL_JWKS_URL": fal.jwks_url,
            "FAL_API_URL": fal.api_url,
            "FAL_REST_URL": fal.rest_url,
            "FAL_CDN_URL": fal.cdn_url,
            "ARTIFACT_HOSTS": fal.artifact_hosts,
            # A server on this machine has an address of a private network; fal's are public.
            "ALLOW_PRIVATE_ARTIFACT_HOSTS": "true",
        }
        said = simulated_words(simulated=fal.simulated, pictures=fal.pictures)
        found |= {"SIMULATED_PICTURES": said} if said else {}
        found |= {"SSL_CERT_FILE": CA_IN_FUNCTION} if fal.ca_file else {}
    return found


def lay_over(built: Path, given: Mapping[str, str], target: Path) -> Path:
    """Write the built template with these variables in every function's environment; return ``target``.

    The second API gets an id of its own there, since no two have one and the stack's tags go to both. It has to lie in the same folder, because the paths of the artifacts are relative to it.
    """
    import yaml  # noqa: PLC0415  # of the extra `local`

    template = yaml.safe_load(built.read_text())
    template["Globals"]["Function"]["Environment"]["Variables"] |= given
    if key_api := template.get("Resources", {}).get("KeyApi"):
        key_api["Properties"] |= {"Tags": {API_TAG: KEY_API_ID}, "PropagateTags": True}
    target.write_text(yaml.safe_dump(template, sort_keys=False))
    return target


def emulated(project: Path, endpoint_url: str) -> list[str]:
    """Return what `sam deploy` needs to be given for an emulator; the template for AWS stays as it is beside.

    SAM looks for samconfig.toml where the template lies that it is given, so that file is given as well.
    """
    built = project / ".aws-sam" / "build" / "template.yaml"
    target = lay_over(built, variables(endpoint_url), built.with_name("emulated.yaml"))
    return ["--template-file", str(target), "--config-file", str(project / "samconfig.toml")]
