"""Lets a child take all memory, then reports success."""

import os

if os.fork() == 0:
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * 4_000_000))
os.wait()
