"""How a build fails: the exceptions whose message is the last line of the build log."""

from callboard.builders.driven import FileTooLarge


class BuildFailed(Exception):
    """The sources cannot be built. The message is for whoever pushed them."""


class StepTooLarge(BuildFailed, FileTooLarge):
    """A step was ended for writing too large a file."""
