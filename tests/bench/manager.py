"""A service manager for one server at a time: it listens first, hands the
listener over as descriptor 3, hears READY=1 and keeps the descriptors it is
sent, as systemd does. Nothing here runs beside the rest: whoever waits, waits
through this file."""

import array
import contextlib
import fcntl
import os
import pathlib
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CORE, LOAD_CORE = 0, 1
PATIENCE = 30.0
# The priority of servers and load; 0 leaves it alone. `run` can change it.
nice = -20
# The program that runs another in the packaged unit's sandbox, if there is one.
confine = None


def pin(core):
    """For between fork and exec: on one core, and before what else runs here."""
    os.sched_setaffinity(0, {core})
    # Where the kernel groups processes by session, only the group's own counts.
    os.setsid()
    if not nice:
        return
    for attempt in (lambda: os.setpriority(os.PRIO_PROCESS, 0, nice),
                    lambda: pathlib.Path("/proc/self/autogroup").write_text(str(nice))):
        try:
            attempt()
        except OSError:
            pass


def listen(kind, port=0):
    """A fresh socket of that kind, and what peers call it; more of one port share it."""
    if kind == "unix":
        path = tempfile.mkdtemp(prefix="echod-bench-") + "/socket"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(path)
        sock.listen(4096)
        return sock, path
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    if kind == "tcp":
        sock.listen(4096)
    return sock, "127.0.0.1:%d" % sock.getsockname()[1]


def is_there(host, port):
    try:
        socket.create_connection((host, port)).close()
        return True
    except OSError:
        return False


class Manager:
    """Starts servers, and keeps what they put into the store."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="echod-bench-"))
        (self.folder / "journal").mkdir()
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ears.bind(str(self.folder / "journal/notify"))
        self.ears.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(str(self.folder / "journal/socket"))
        # For the user that a sandbox gives.
        for path in ("journal/notify", "journal/socket"):
            (self.folder / path).chmod(0o777)
        self.records = 0
        self.store, self.ready = [], False
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.ears, selectors.EVENT_READ, self._hear)
        self.selector.register(self.journal, selectors.EVENT_READ, self._record)

    def close(self):
        self.empty()
        shutil.rmtree(self.folder)

    def empty(self):
        for _, fd in self.store:
            os.close(fd)
        self.store = []

    # What servers say.

    def _hear(self):
        while True:
            try:
                text, fds = self._receive()
            except BlockingIOError:
                return
            words = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
            name = words.get("FDNAME", "stored")
            if words.get("FDSTORE") == "1":
                self.store += [(name, fd) for fd in fds]
                fds = []
            if words.get("FDSTOREREMOVE") == "1":
                for _, fd in [entry for entry in self.store if entry[0] == name]:
                    os.close(fd)
                self.store = [entry for entry in self.store if entry[0] != name]
            self.ready |= words.get("READY") == "1"
            # That includes the one of BARRIER=1, which waits for the close.
            for fd in fds:
                os.close(fd)

    def _receive(self):
        size = array.array("i").itemsize
        text, control, _, _ = self.ears.recvmsg(4096, socket.CMSG_SPACE(64 * size),
                                                 socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[:len(data) - len(data) % size])
        return text.decode(), list(fds)

    def _record(self):
        while True:
            try:
                self.records += self.journal.recv(1 << 16, socket.MSG_DONTWAIT) != b""
            except BlockingIOError:
                return

    # Waiting.

    def wait(self, seconds):
        for key, _ in self.selector.select(seconds):
            if callable(key.data):
                key.data()

    def until(self, what, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            self.wait(0.05)

    def run(self, command, **options):
        """Runs a command to its end; what it wrote."""
        child = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=lambda: pin(LOAD_CORE), **options)
        said = self.read(child)
        if child.wait() != 0:
            raise RuntimeError("%s: exit status %d: %s" % (command[:2], child.returncode, said))
        return said

    def read(self, child, lines=None):
        """What a child says, to its end or so many lines."""
        said = b""
        self.selector.register(child.stdout, selectors.EVENT_READ, None)
        try:
            while lines is None or said.count(b"\n") < lines:
                for key, _ in self.selector.select(PATIENCE):
                    if callable(key.data):
                        key.data()
                        continue
                    piece = os.read(child.stdout.fileno(), 1 << 16)
                    if not piece:
                        return said
                    said += piece
        finally:
            self.selector.unregister(child.stdout)
        return said

    # Servers.

    def start(self, server, listener, keep_store=False, core=SERVER_CORE):
        """Starts a server; a `Child` once it is ready."""
        if not keep_store:
            self.empty()
        self.ready = False
        stored = self.store if keep_store else []
        fds = [listener.fileno()] if listener else []
        names = ["bench"] * len(fds) + [name for name, _ in stored]
        fds += [fd for _, fd in stored]
        environment = {"PATH": os.environ["PATH"]}
        if server.store:
            # As its mount table shows it.
            environment["NOTIFY_SOCKET"] = "/run/systemd/journal/notify"
        child = Child(server, fds, names, environment, self, core)
        if server.store:
            self.until("READY=1 of " + server.name, lambda: self.ready or child.process.poll() is not None)
        if server.binds:
            host, port = server.binds.rsplit(":", 1)
            self.until("the socket of " + server.name, lambda: is_there(host, int(port)))
        return child


# Covers /run, so that nothing is made on the machine itself, and shows our
# folder where the journal's is.
JOURNAL = """mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
mount --bind "$0" /run/systemd/journal && exec "$@" """
# The shell only finds out its process id, and has the same as what follows.
HAND_OVER = 'export LISTEN_PID=$$ JOURNAL_STREAM="$(stat -Lc %d:%i /dev/stderr)"; exec "$0" "$@"'


class Child:
    """A server that runs."""

    def __init__(self, server, fds, names, environment, manager, core):
        self.server, self.group = server, None
        environment.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(names))
        sandbox = [confine] if confine and not server.forks else []
        command = ["sh", "-c", HAND_OVER, *sandbox, *server.command]
        stderr = subprocess.DEVNULL
        if server.journal:
            # Something that is a journal's by its inode, whatever reads it.
            stderr = self.stream = open(manager.folder / "stderr", "wb")
            command = ["unshare", "--mount", "sh", "-c", JOURNAL, str(manager.folder / "journal"), *command]
        if server.forks:
            self.group = Group()
        places = range(3, 3 + len(fds))

        def prepare():
            pin(core)
            if self.group:
                self.group.join()
            # Above all places, so that none is overwritten before it is copied.
            copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, places.stop) for fd in fds]
            for copy, place in zip(copies, places):
                os.dup2(copy, place)

        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=stderr, close_fds=False,
                                        preexec_fn=prepare)
        self.pid = self.process.pid

    def clock(self):
        return self.group.clock() if self.group else str(self.pid)

    def stop(self, how=signal.SIGKILL):
        if self.group:
            self.group.end()
        self.process.send_signal(how)
        self.process.wait()


class Group:
    """An accounting group of the kernel (cgroup v1, cpuacct), for servers that
    are many processes."""

    ROOT = pathlib.Path("/sys/fs/cgroup/cpuacct")

    def __init__(self):
        self.path = self.ROOT / ("echod-bench-%d" % os.getpid())
        self.path.mkdir(exist_ok=True)

    def join(self):
        (self.path / "cgroup.procs").write_text("0")

    def clock(self):
        return str(self.path / "cpuacct.usage")

    def members(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def end(self):
        while members := self.members():
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)
        self.path.rmdir()


@contextlib.contextmanager
def free_port():
    """A port that nobody else gets, for servers that bind one themselves."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
