"""How fetching fails: the one exception whose message belongs into the build log."""


class FetchFailed(Exception):
    """The sources cannot be had, or must not be taken. The message is for whoever started the build."""
