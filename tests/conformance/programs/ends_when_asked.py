"""Behaves: cleans up and ends with 7 on SIGTERM."""

import signal
import sys


def end(*_):
    print("cleaned up", flush=True)
    sys.exit(7)


signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
signal.pause()
