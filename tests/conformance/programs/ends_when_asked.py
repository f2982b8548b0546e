"""Behaves: cleans up and ends with 7 on SIGTERM."""

import os
import signal


def end(*_):
    os.write(1, b"cleaned up\n")
    os._exit(7)


signal.signal(signal.SIGTERM, end)
os.write(1, b"ready\n")
while True:
    signal.pause()
