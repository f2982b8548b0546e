"""Errors about datasets and what is read from them."""

from callboard.core.errors import ApiError


class InvalidItems(ApiError):
    """The body of a push is not an object or an array of objects."""

    status, type = 400, "invalid-request"


class SchemaValidationFailed(ApiError):
    """`data.invalidItems` lists the items, counted from 0, with what is wrong with each."""

    status, type = 400, "schema-validation-error"
    message = "Schema validation failed"


class InvalidDatasetSchema(ApiError):
    status, type = 400, "invalid-value"


class DatasetViewNotFound(ApiError):
    status, type = 400, "requested-dataset-view-does-not-exist"

    def __init__(self, view: str) -> None:
        super().__init__(f'The dataset has no view named "{view}".')


class DatasetHasNoSchema(ApiError):
    status, type = 400, "dataset-does-not-have-schema"
    message = "The dataset has no schema with fields, so there are no statistics of its fields."
