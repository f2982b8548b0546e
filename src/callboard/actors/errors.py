"""Errors about Actors, their versions and environment variables."""

from callboard.core.errors import ApiError


class ActorNotFound(ApiError):
    """Also for Actors the caller may not see. Of the type that clients read as "absent"."""

    status, type = 404, "record-not-found"
    message = "Actor was not found"


class ActorNameNotUnique(ApiError):
    status, type = 409, "actor-name-not-unique"
    message = "You already have an Actor of that name."


class InvalidActorName(ApiError):
    status, type = 400, "invalid-value"
    message = "An Actor's name has 3 to 63 letters, digits and hyphens, with no hyphen at the ends."


class TooManyActors(ApiError):
    status, type = 403, "too-many-actors"

    def __init__(self, count: int) -> None:
        super().__init__(f"You may have at most {count} Actors.")


class TooManyVersions(ApiError):
    status, type = 400, "too-many-versions"


class VersionsSizeExceeded(ApiError):
    status, type = 400, "versions-size-exceeded"


class TooFewVersions(ApiError):
    status, type = 400, "too-few-versions"
    message = "An Actor must have at least one version."


class VersionAlreadyExists(ApiError):
    status, type = 409, "version-already-exists"


class VersionNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "Actor version was not found"


class EnvVarNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "Environment variable was not found"


class EnvVarAlreadyExists(ApiError):
    status, type = 409, "env-var-already-exists"


class CannotRenameEnvVar(ApiError):
    status, type = 400, "cannot-rename-env-var"
    message = "An environment variable cannot be renamed. Create another and delete this one."


class CannotPublishActor(ApiError):
    status, type = 400, "cannot-publish-actor"
    message = "A public Actor needs a title and at least one category."


class InvalidActorField(ApiError):
    status, type = 400, "invalid-value"
