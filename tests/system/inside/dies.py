"""A service that dies of each connection: READY=1, then accept, then death."""

import os
import select
import signal
import socket

count = int(os.environ["LISTEN_FDS"])
listeners = [socket.socket(fileno=3 + number) for number in range(count)]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.connect(os.environ["NOTIFY_SOCKET"])
    manager.send(b"READY=1")
ready, _, _ = select.select(listeners, [], [])
ready[0].setblocking(True)
ready[0].accept()
os.kill(os.getpid(), signal.SIGKILL)
