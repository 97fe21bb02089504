from tests.support.client_fixtures import check, folder, phone, stack

__all__ = ["check", "folder", "phone", "stack"]
