"""Tries to connect to every `address:port` named on its command line, and says how that went."""

import socket
import sys

for target in sys.argv[1:]:
    address, _, port = target.rpartition(":")
    try:
        socket.create_connection((address, int(port)), timeout=3).close()
        print(target, "reached")
    except OSError as error:
        print(target, "refused", error)
