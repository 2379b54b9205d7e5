"""Connections that say one thing and leave.

    brief.py --at HOST:PORT --count N

Prints one line of JSON; exits 1 if any was not answered.
"""

import argparse
import json
import socket
import struct
import sys
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True)
    parser.add_argument("--count", type=int, required=True)
    chosen = parser.parse_args()
    host, port = chosen.at.rsplit(":", 1)
    answered, began = 0, time.monotonic()
    for number in range(chosen.count):
        with socket.socket() as sock:
            # Other addresses of the loopback: one has only 28,000 ports.
            sock.bind((f"127.0.{number // 10_000 % 250}.2", 0))
            sock.connect((host, int(port)))
            sock.sendall(b"hello")
            answered += sock.recv(16) == b"hello"
            if number % 2:
                # Every other one is reset rather than ended.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    print(json.dumps({"answered": answered, "seconds": round(time.monotonic() - began, 1)}))
    return 0 if answered == chosen.count else 1


if __name__ == "__main__":
    sys.exit(main())
