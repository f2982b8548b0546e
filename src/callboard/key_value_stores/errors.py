"""Errors about records, keys and the schemas of stores."""

from callboard.core.errors import ApiError, RecordNotFound


class InvalidRecordKey(ApiError):
    status, type = 400, "invalid-record-key"
    message = (
        "The record key is not valid: it must have 1 to 256 characters, "
        "each a letter, a digit or one of !-_.'()"
    )


class NoSuchRecord(RecordNotFound):
    message = "Record was not found."


class RecordTooLarge(ApiError):
    status, type = 413, "record-too-large"


class InvalidCollection(ApiError):
    status, type = 400, "invalid-collection"

    def __init__(self, name: str) -> None:
        super().__init__(f'The schema of this key-value store has no collection "{name}".')


class StoreSchemaInvalid(ApiError):
    status, type = 400, "store-schema-invalid"


class RecordAgainstSchema(ApiError):
    status, type = 400, "schema-validation-error"


class RecordCorrupt(ApiError):
    """Records are checked when they are written, so this is damage to the disk, or by hand."""

    status, type = 500, "internal-server-error"
    message = "The stored record is damaged: what is on the disk is not what was written."
