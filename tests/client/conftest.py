from tests.support.client_fixtures import (
    api,
    at_once,
    check,
    folder,
    interruptible,
    phone,
    run,
    stack,
)

__all__ = ["api", "at_once", "check", "folder", "interruptible", "phone", "run", "stack"]
