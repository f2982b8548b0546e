"""How a build fails: the one exception whose message is the last line of the build log."""


class BuildFailed(Exception):
    """The sources cannot be built. The message is for whoever pushed them."""
