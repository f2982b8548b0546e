"""Answers each connection to a port with a word, until it is killed. Arguments: address, port, word."""

import socket
import sys

server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    client, _ = server.accept()
    with client:
        client.sendall(sys.argv[3].encode())
