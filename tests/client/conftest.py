from tests.support.client_fixtures import api, check, folder, interruptible, phone, run, stack

__all__ = ["api", "check", "folder", "interruptible", "phone", "run", "stack"]
