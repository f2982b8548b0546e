"""Refuses to end when asked, and so does its child."""

import os
import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print("deaf", flush=True)
while True:
    time.sleep(60)
