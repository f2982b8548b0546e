"""Prints 20 MB, numbered."""

import sys

block = "".join(f"line {{n}}.{i:03d} {'=' * 80}\n" for i in range(100))
for number in range(2300):
    sys.stdout.write(block.replace("{n}", f"{number:05d}"))
print("the last line")
