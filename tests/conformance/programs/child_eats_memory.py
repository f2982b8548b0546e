"""Lets a child take all memory, and would carry on as if nothing had happened."""

import os
import time

if os.fork() == 0:
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * 4_000_000))
os.wait()
time.sleep(60)
