"""Drop a dataset ZIP into an S3 bucket; get a trained portrait LoRA in another.

The public names are loaded on first use, so that ``import lora_drop`` costs next to nothing.
"""

TYPE_CHECKING = False  # type checkers take it for true; typing would cost half of an empty Python

if TYPE_CHECKING:
    from lora_drop import webhooks
    from lora_drop.client.async_portrait_trainer import AsyncPortraitTrainer
    from lora_drop.client.errors import CommandError, JobUnknownError
    from lora_drop.client.portrait_trainer import PortraitTrainer
    from lora_drop.client.stack import Stack, find_stack
    from lora_drop.client.stack_client import StackClient

__version__ = "0.1.0"
__all__ = [
    "AsyncPortraitTrainer",
    "CommandError",
    "JobUnknownError",
    "PortraitTrainer",
    "Stack",
    "StackClient",
    "__version__",
    "find_stack",
    "webhooks",
]
_MODULES = {
    "AsyncPortraitTrainer": "lora_drop.client.async_portrait_trainer",
    "PortraitTrainer": "lora_drop.client.portrait_trainer",
    "CommandError": "lora_drop.client.errors",
    "JobUnknownError": "lora_drop.client.errors",
    "StackClient": "lora_drop.client.stack_client",
    "Stack": "lora_drop.client.stack",
    "find_stack": "lora_drop.client.stack",
}


def __getattr__(name: str) -> object:
    """Import a public name on its first use."""
    from importlib import import_module  # noqa: PLC0415

    if name == "webhooks":
        return import_module("lora_drop.webhooks")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
