"""Prints a secret whole, in two writes, and to stderr."""

import os
import sys
import time

secret = os.environ["SECRET"]
print("whole", secret, flush=True)
os.write(1, b"halved " + secret[:5].encode())
time.sleep(0.05)
os.write(1, secret[5:].encode() + b"\n")
print("stderr", secret, file=sys.stderr)
