from tests.support.client_fixtures import (
    api,
    at_once,
    check,
    drop,
    folder,
    interruptible,
    phone,
    run,
    stack,
)

__all__ = ["api", "at_once", "check", "drop", "folder", "interruptible", "phone", "run", "stack"]
