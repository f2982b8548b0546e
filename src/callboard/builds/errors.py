"""Errors about builds."""

from callboard.core.errors import ApiError


class BuildRecordNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "Build was not found"


class UnknownBuildTag(ApiError):
    """A run asks for a tag that no build has."""

    status, type = 403, "unknown-build-tag"

    def __init__(self, tag: str) -> None:
        super().__init__(f'Build with tag "{tag}" was not found. Has the Actor been built already?')


class BuildNotFound(ApiError):
    """A run asks for a build number that does not exist."""

    status, type = 403, "build-not-found"

    def __init__(self, number: str) -> None:
        super().__init__(f'Build "{number}" was not found.')


class InvalidBuild(ApiError):
    """A run asks for a build that did not succeed."""

    status, type = 403, "invalid-build"

    def __init__(self, number: str) -> None:
        super().__init__(f'Build "{number}" did not succeed, so it cannot be run.')


class DeletingDefaultBuild(ApiError):
    status, type = 403, "deleting-default-build"
    message = "The default build of an Actor cannot be deleted."


class DeletingUnfinishedBuild(ApiError):
    status, type = 403, "deleting-unfinished-build"
    message = "A build that has not finished cannot be deleted."


class DeletingUsedBuild(ApiError):
    """The files of a build are those that its runs work with."""

    status, type = 403, "deleting-unfinished-build"
    message = "A build cannot be deleted while a run of it has not finished."
