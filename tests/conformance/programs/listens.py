"""Listens on a port everybody wants, until asked to end."""

import signal
import socket

server = socket.create_server(("0.0.0.0", 8080))
print("listening", flush=True)
signal.pause()
