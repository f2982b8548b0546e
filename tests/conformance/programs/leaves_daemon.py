"""Leaves a process that has cut all ties: own session, no parent, no open descriptors."""

import os
import sys
import time

read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in (0, 1, 2):
        os.close(fd)
    os.write(write, b"!")
    os.close(write)
    time.sleep(600)
os.read(read, 1)
sys.exit(0)
