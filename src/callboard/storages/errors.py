"""Errors about storages as such."""

from callboard.core.errors import ApiError
from callboard.storages.model import StorageKind


class StorageAccessDenied(ApiError):
    """Worded as the clients' users know it."""

    status, type = 403, "insufficient-permissions"

    def __init__(self, kind: StorageKind) -> None:
        super().__init__(
            f"Insufficient permissions for the {kind}. Make sure you're passing a correct API token "
            "and that it has the required permissions."
        )


class StorageNotFound(ApiError):
    status, type = 404, "record-not-found"

    def __init__(self, kind: StorageKind) -> None:
        super().__init__(f"{kind.capitalize()} was not found.")


class StorageNameNotUnique(ApiError):
    status, type = 409, "name-not-unique"

    def __init__(self, kind: StorageKind, name: str) -> None:
        super().__init__(f'You already have a {kind} named "{name}".')


class InvalidStorageName(ApiError):
    status, type = 400, "invalid-value"

    def __init__(self, name: str) -> None:
        super().__init__(
            f'"{name}" is not a valid name: up to 63 letters, digits and hyphens, with no hyphen at the ends.'
        )
