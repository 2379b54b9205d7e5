"""Taking samples. Each is a fresh server under one load."""

import json
import os
import pathlib
import signal
import subprocess
import time

import manager
import plan

# Others may use so much of one core while a sample is taken; `run` can change it.
others_max = 0.12
# Busier than that, and busier than the server, the load is the limit.
LIMIT = 0.9


def is_clean(sample):
    return sample["others"] <= others_max


def others(got, own):
    """The share of one core that everything else had, by what the load said and
    our own processor time."""
    used = got["machine_ticks"] / os.sysconf("SC_CLK_TCK") - (got["server_ns"] + got["load_ns"]) / 1e9 - own
    return max(0.0, used / got["seconds"])


class Bench:
    """The manager, and what is sampled with it."""

    def __init__(self):
        self.manager = manager.Manager()

    def sample(self, server, cell):
        """One server under one cell's load."""
        with Running(self, server, cell.socket) as it:
            own = time.process_time()
            said = self.manager.run([plan.LOAD, *cell.arguments(), "--to", it.address, "--clock", it.child.clock()])
            own = time.process_time() - own
        got = json.loads(said)
        if not got["messages"]:
            raise RuntimeError("%s answered nothing" % server.name)
        if got["broken"] and not server.forks:
            raise RuntimeError("%s broke %d connections" % (server.name, got["broken"]))
        span = got["seconds"]
        units = got["bytes"] / 1024 if cell.per == "KiB" else got["messages"]
        return {
            "server": server.name,
            "ns": got["server_ns"] / units,
            "rate": units / span,
            "p50": got["p50_us"], "p99": got["p99_us"],
            "busy": got["server_ns"] / 1e9 / span, "load": got["load_ns"] / 1e9 / span,
            "others": others(got, own),
            "lost": got["lost"], "broken": got["broken"],
        }

    def chain(self, cell, servers, order):
        """Base, one, base, another, base: each between two samples of the base."""
        base = servers[cell.base]
        samples = [self.sample(base, cell)]
        for name in order:
            samples += [self.sample(servers[name], cell), self.sample(base, cell)]
        return samples

    def memory(self, server, peers):
        """PSS in bytes before, with so many idle peers, and after they have gone.
        Each has said one thing."""
        with Running(self, server, "tcp") as it:
            before = self.settled(it)
            crowd = self.crowd(it, peers)
            during = it.memory()
            self.tell(crowd, "go")
            after = self.settled(it) if not server.forks else 0
            crowd.wait()
        return {"server": server.name, "peers": peers, "before": before, "during": during, "after": after}

    def settled(self, it):
        """The memory when it has not shrunk for a second and a half, which is
        longer than the server waits before it tidies up."""
        least, since = it.memory(), time.monotonic()
        while time.monotonic() - since < 1.5:
            self.manager.wait(0.1)
            if (now := it.memory()) < least:
                least, since = now, time.monotonic()
        return it.memory()

    def crowd(self, it, peers):
        crowd = subprocess.Popen([plan.LOAD, "hold", "--peers", str(peers), "--to", it.address],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 preexec_fn=lambda: manager.pin(manager.LOAD_CORE))
        said = json.loads(self.manager.read(crowd, lines=1))
        assert said["held"] == peers and not said["wrong"]
        return crowd

    def tell(self, crowd, word):
        crowd.stdin.write(word.encode() + b"\n")
        crowd.stdin.flush()
        return json.loads(self.manager.read(crowd, lines=1))

    def start(self, server):
        """From exec to the first answer, in milliseconds."""
        listener, address = manager.listen("tcp")
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.manager.folder / "journal/notify")} if server.store else None

        def prepare():
            manager.pin(manager.LOAD_CORE)
            os.dup2(listener.fileno(), 3)

        child = subprocess.Popen([plan.LOAD, "start", "--to", address, "--", *server.command], env=environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=prepare,
                                 close_fds=False)
        said = json.loads(self.manager.read(child))
        child.wait()
        listener.close()
        self.manager.empty()
        return {"server": server.name, "ms": said["start_us"] / 1000}

    def instances(self, server, count):
        """So many of them on one port, each on a core of its own; the load has the
        last core, and shares it."""
        sockets = [manager.listen("tcp")]
        port = int(sockets[0][1].rsplit(":", 1)[1])
        sockets += [manager.listen("tcp", port) for _ in range(count - 1)]
        children = [self.manager.start(server, sock, core=core) for core, (sock, _) in enumerate(sockets)]
        cell = plan.Cell("instances", "", "echo", ())
        clocks = ",".join(child.clock() for child in children)
        own = time.process_time()
        got = json.loads(self.manager.run([plan.LOAD, *cell.arguments(), "--to", sockets[0][1], "--clock", clocks]))
        own = time.process_time() - own
        for child, (sock, _) in zip(children, sockets):
            child.stop()
            sock.close()
        return {"server": server.name, "count": count, "ns": got["server_ns"] / got["messages"],
                "rate": got["messages"] / got["seconds"], "p99": got["p99_us"],
                "others": others(got, own)}

    def profile(self, server, cell):
        """System calls per message or connection, and where the kernel's and the
        program's time goes, of one under a cell's load. Slowed down by being
        looked at, so only the shares mean anything."""
        with Running(self, server, cell.socket) as it:
            load = [plan.LOAD, *cell.arguments(), "--seconds", "2", "--to", it.address, "--clock", it.child.clock()]
            calls, said = self.beside(["strace", "-f", "-c", "-qq", "-U", "name,calls", "-p", str(it.child.pid)], load)
            rows = [line.split() for line in calls.splitlines()]
            counted = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "total"}
            data = self.manager.folder / "perf"
            self.beside(["perf", "record", "-q", "-F", "2000", "-o", str(data), "-p", str(it.child.pid)], load)
            spent = subprocess.run(["perf", "report", "--stdio", "-i", str(data), "--no-children", "--percent-limit=1",
                                    "--sort=sym", "-q"], capture_output=True, text=True).stdout if data.exists() else ""
        # strace counts what came before and after the measured span too: so many
        # calls as gave answers, or as ended connections, are one each.
        ends = ("close",) if cell.work == "churn" else ("sendto", "writev", "sendmsg", "sendmmsg")
        took = max(counted.get(call, 0) for call in ends)
        shares = [line.strip() for line in spent.splitlines() if "%" in line][:25]
        return {"server": server.name, "cell": cell.name, "messages": said["messages"], "shares": shares,
                "calls": {name: count / took for name, count in counted.items() if took and count / took >= 0.002}}

    def beside(self, watcher, load):
        """A load with something that watches its server meanwhile; what both said."""
        try:
            watch = subprocess.Popen(watcher, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            return "", json.loads(self.manager.run(load))
        time.sleep(0.3)
        got = json.loads(self.manager.run(load))
        watch.send_signal(signal.SIGINT)
        return watch.communicate()[1], got

    def adoption(self, server, peers):
        """A kill with so many idle peers: until the next one is ready, and until
        all have had another answer."""
        listener, address = manager.listen("tcp")
        child = self.manager.start(server, listener)
        it = Running.of(child, address)
        crowd = self.crowd(it, peers)
        child.stop()
        begun = time.monotonic()
        child = self.manager.start(server, listener, keep_store=True)
        ready = time.monotonic() - begun
        said = self.tell(crowd, "ask")
        assert said["asked"] == peers and not said["wrong"]
        crowd.kill()
        crowd.wait()
        child.stop()
        listener.close()
        return {"server": server.name, "peers": peers, "ready_ms": ready * 1000, "asked_ms": said["seconds"] * 1000}


class Running:
    """A server for as long as it is looked at."""

    def __init__(self, bench, server, socket):
        self.bench, self.server, self.socket, self.listener = bench, server, socket, None

    @classmethod
    def of(cls, child, address):
        it = cls(None, child.server, "tcp")
        it.child, it.address = child, address
        return it

    def __enter__(self):
        if self.server.binds:
            self.address = self.server.binds
        else:
            self.listener, self.address = manager.listen(self.socket)
        self.child = self.bench.manager.start(self.server, self.listener)
        return self

    def __exit__(self, *_):
        self.child.stop()
        if self.listener:
            self.listener.close()
        if self.address.startswith("/"):
            os.unlink(self.address)
            os.rmdir(os.path.dirname(self.address))

    def memory(self):
        """Proportional set size of the server and its children, in bytes, without the
        pages of files: whose share of those is how large depends on who else runs."""
        pids = self.child.group.members() if self.child.group else [self.child.pid]
        return sum(pss(pid) for pid in pids)


def pss(pid):
    try:
        text = pathlib.Path("/proc/%d/smaps_rollup" % pid).read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) * 1024
