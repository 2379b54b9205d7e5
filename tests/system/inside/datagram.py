"""Sends one datagram from a connected socket and prints, as JSON, what came back.

    datagram.py HOST:PORT SIZE
"""

import json
import socket
import sys


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    said = bytes(number * 7 % 251 for number in range(int(sys.argv[2])))
    family, kind, proto, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    try:
        with socket.socket(family, kind, proto) as talk:
            talk.settimeout(10)
            # Connected: an answer from another address than was asked would not arrive.
            talk.connect(address)
            talk.send(said)
            print(json.dumps({"same": talk.recv(65_536) == said}))
    except OSError as fault:
        print(json.dumps({"fault": fault.strerror or str(fault)}))


if __name__ == "__main__":
    main()
