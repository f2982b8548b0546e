"""Writes more and more: to files of its own (`files`), or to such that it has deleted already (`deleted`)."""

import io
import os
import sys
import time

MEGABYTE = bytes(1024 * 1024)
held: list[io.FileIO] = []
for number in range(1000):
    path = f"{sys.argv[2]}/{number}"
    held.append(open(path, "wb", buffering=0))  # noqa: SIM115
    if sys.argv[1] == "deleted":
        os.unlink(path)
    for _ in range(8):
        held[-1].write(MEGABYTE)
    if sys.argv[1] == "files":
        held.pop().close()
    time.sleep(0.05)
