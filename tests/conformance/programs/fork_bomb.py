"""Forks until it cannot, in every process."""

import os
import time

for _ in range(10):
    try:
        os.fork()
    except OSError:
        print("no more processes", flush=True)
        break
time.sleep(2)
