"""Many conversations that say nothing while something happens.

    idle.py --at HOST:PORT [--count N] --during COMMAND

Opens as many rfc862 conversations as asked for, or as the limit of descriptors
leaves; each is answered once before the command runs and once after it. Prints
one line of JSON; exits 1 if any was lost.
"""

import argparse
import json
import resource
import socket
import subprocess
import sys
import time


def answered(sock, number):
    """Whether this conversation gets its own number back."""
    said = f"conversation {number}\n".encode()
    try:
        sock.sendall(said)
        heard = b""
        while len(heard) < len(said):
            more = sock.recv(len(said) - len(heard))
            if not more:
                return False
            heard += more
        return heard == said
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True)
    parser.add_argument("--count", type=int, default=15_000)
    parser.add_argument("--during", default="true")
    chosen = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host, port = chosen.at.rsplit(":", 1)
    count = min(chosen.count, most - 50)
    socks = [socket.create_connection((host, int(port)), 60) for _ in range(count)]
    began = sum(answered(sock, number) for number, sock in enumerate(socks))
    start = time.monotonic()
    status = subprocess.run(["sh", "-c", chosen.during], stdout=sys.stderr, check=False).returncode
    took = time.monotonic() - start
    start = time.monotonic()
    first = answered(socks[0], 0)
    pause = time.monotonic() - start
    kept = first + sum(answered(sock, number) for number, sock in enumerate(socks) if number)
    for sock in socks:
        sock.close()
    said = {"conversations": count, "answered_before": began, "answered_after": kept, "command": status,
            "seconds": round(took, 2), "first_answer": round(pause, 3)}
    print(json.dumps(said))
    return 0 if began == kept == count and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
