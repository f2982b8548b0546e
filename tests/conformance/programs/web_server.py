"""An Actor that serves HTTP and websockets with the standard library alone: tests take the text as its main.py."""

import base64
import hashlib
import http.server
import json
import os
import struct
import threading
import time

PIECE = b"x" * 65536
go_on = threading.Event()
now, most = [0], [0]
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/").replace("/", "_")
        if self.headers.get("Upgrade") and path != "refuse":
            self.talk()
        else:
            getattr(self, f"get_{path}", self.get_)()

    def do_POST(self):
        digest, left = hashlib.sha256(), int(self.headers.get("Content-Length", 0))
        while left and (piece := self.rfile.read(min(left, 65536))):
            digest.update(piece)
            left -= len(piece)
        self.answer({"sha256": digest.hexdigest(), "method": self.command})

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PROPFIND = do_POST

    def get_(self):
        """What arrived, and where."""
        names = (
            "ACTOR_RUN_ID",
            "ACTOR_BUILD_NUMBER",
            "APIFY_META_ORIGIN",
            "ACTOR_STANDBY_URL",
            "ACTOR_MEMORY_MBYTES",
        )
        headers = {name.lower(): value for name, value in self.headers.items()}
        environment = {name: os.environ.get(name) for name in names}
        self.answer(
            {
                "path": self.path,
                "headers": headers,
                "env": environment,
                "run": os.environ["ACTOR_RUN_ID"],
            }
        )

    def get_events(self):
        """A second event only after the first has been read by whoever asks for /go-on."""
        self.begin("text/event-stream")
        self.piece(b"data: one\n\n")
        go_on.wait(30)
        self.piece(b"data: two\n\n")
        self.piece(b"")

    def get_goon(self):
        go_on.set()
        self.answer({})

    def get_large(self):
        self.begin("application/octet-stream")
        for _ in range(int(self.path.partition("=")[2]) * 16):
            self.piece(PIECE)
        self.piece(b"")

    def get_endless(self):
        self.begin("application/octet-stream")
        try:
            while True:
                self.piece(PIECE)
        except OSError:
            print("the client left", flush=True)

    def get_broken(self):
        self.begin("text/plain")
        self.piece(b"half")
        self.close_connection = True

    def get_nonsense(self):
        self.wfile.write(b"this is not HTTP\r\n\r\n")
        self.close_connection = True

    def get_slow(self):
        """How many were at it at the same time."""
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.5)
        with lock:
            now[0] -= 1
        self.answer({"run": os.environ["ACTOR_RUN_ID"], "most": most[0]})

    def get_refuse(self):
        self.send_response(403)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"no!")

    def get_page(self):
        self.begin("text/html")
        self.piece(b"<h1>Hello</h1>")
        self.piece(b"")

    def get_exit(self):
        os._exit(3)

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "visited=1")
        self.send_header("Connection", "x-private")
        self.send_header("X-Private", "of one connection")
        self.end_headers()
        self.wfile.write(body)

    def begin(self, content_type):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def piece(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def talk(self):
        """A websocket that sends back what it gets, and says which code it was closed with."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header(
            "Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        )
        if wanted := self.headers.get("Sec-WebSocket-Protocol"):
            self.send_header("Sec-WebSocket-Protocol", wanted.rpartition(",")[2].strip())
        self.end_headers()
        self.close_connection = True
        while frame := self.frame():
            first, body = frame
            self.wfile.write(self.head(first, len(body)) + body)
            if first & 15 == 8:
                print("closed with", struct.unpack("!H", body[:2])[0], flush=True)
                return
        print("cut off", flush=True)

    def frame(self):
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        size = head[1] & 127
        if size == 126:
            (size,) = struct.unpack("!H", self.rfile.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.rfile.read(8))
        mask, body = self.rfile.read(4), self.rfile.read(size)
        whole = (mask * (size // 4 + 1))[:size]
        return head[0], (int.from_bytes(body, "big") ^ int.from_bytes(whole, "big")).to_bytes(
            size, "big"
        )

    def head(self, first, size):
        if size < 126:
            return bytes([first, size])
        return (
            bytes([first, 126]) + struct.pack("!H", size)
            if size < 65536
            else bytes([first, 127]) + struct.pack("!Q", size)
        )

    def log_message(self, *_):
        """Nothing for each request."""


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    print("listening", flush=True)
    Server(("0.0.0.0", int(os.environ["ACTOR_WEB_SERVER_PORT"])), Handler).serve_forever()
