"""Serves a data folder again and again, each time in a process of its own: `mortal_server.py STEPS_JSON DUE`.

Each line of input forks a server, settings as JSON, which may die at the steps (see `deaths`). What it takes a
program a second to import is there already, so a server starts in a seventh of that. Words on the output, around
the server's own: `pid N` when one begins, `ended STATUS` when it is gone. At the end of the input all ends.
"""

import json
import os
import sys
from pathlib import Path

import uvloop

from callboard import config
from callboard.cli.serving import serve_until_signal
from tests import deaths


def main() -> None:
    deaths.lay(json.loads(sys.argv[1]), Path(sys.argv[2]))
    for line in sys.stdin:
        settings = json.loads(line)
        child = os.fork()
        if child == 0:
            _say(f"pid {os.getpid()}")
            uvloop.run(serve_until_signal(config.load(settings, os.environ)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _say(f"ended {os.waitstatus_to_exitcode(status)}")


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
