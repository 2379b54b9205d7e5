"""A server that gives half an answer and then resets, but is well when it is checked.

    half.py PORT...
"""

import socket
import struct
import sys
import threading


def serve(listener):
    """Answers one after the other, for ever."""
    while True:
        talk, _ = listener.accept()
        with talk:
            if talk.recv(100) == b"hello":
                talk.sendall(b"hello")
                continue
            talk.sendall(b"half an ans")
            # Until it has arrived; the client says no more.
            talk.recv(100)
            talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def main():
    for port in sys.argv[1:]:
        listener = socket.create_server(("127.0.0.1", int(port)))
        threading.Thread(target=serve, args=(listener,)).start()


if __name__ == "__main__":
    main()
