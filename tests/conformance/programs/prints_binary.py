"""Prints bytes that are no text, a line longer than any buffer, and no newline at the end."""

import sys

out = sys.stdout.buffer
out.write(b"\xff\xfe\x00\x01\n")
out.write(b"x" * 200_000 + b"\n")
out.write(b"unfinished")
