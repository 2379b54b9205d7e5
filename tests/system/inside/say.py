"""Says one thing and prints, as JSON, what came back until the end of file.

    say.py HOST:PORT TEXT
"""

import json
import socket
import sys


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), 10) as talk:
            talk.sendall(sys.argv[2].encode())
            talk.shutdown(socket.SHUT_WR)
            heard = b"".join(iter(lambda: talk.recv(65_536), b""))
        print(json.dumps({"heard": heard.decode(errors="replace")}))
    except OSError as fault:
        print(json.dumps({"fault": fault.strerror or str(fault)}))


if __name__ == "__main__":
    main()
