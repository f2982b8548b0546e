"""Writes more and more to the folder that is kept in memory, and never looks at it again."""

import time

for number in range(200):
    with open(f"/dev/shm/{number}", "wb") as file:
        file.write(bytes(4 * 1024 * 1024))
    time.sleep(0.02)
