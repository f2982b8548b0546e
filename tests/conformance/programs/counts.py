"""Prints numbers slowly, so that others can come and go meanwhile. Takes a second."""

import time

for number in range(100):
    print("number", number, flush=True)
    time.sleep(0.01)
