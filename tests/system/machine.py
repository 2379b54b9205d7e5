"""A Debian with a running systemd: a throw-away overlay over a root, booted."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import cage

INSIDE = pathlib.Path(__file__).resolve().parent / "inside"

# PID 1's own about a container without these controllers; not echod's.
NOISE = ("pids.max", "memory.max", "memory.swap.max")


class Machine:
    """One container; `with` boots it and takes it away."""

    def __init__(self, name, root):
        self.name, self.root = name, root
        self.home = cage.WORK / f"{name}-{os.urandom(3).hex()}"
        self.tree = self.home / "tree"
        self.group = self.nspawn = None

    def __enter__(self):
        try:
            self._begin()
        except BaseException:
            # `with` does not take away what it could not enter.
            self.__exit__()
            raise
        return self

    def _begin(self):
        for part in ("upper", "work", "tree"):
            (self.home / part).mkdir(parents=True)
        options = f"lowerdir={self.root},upperdir={self.home}/upper,workdir={self.home}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "none", self.tree], check=True)
        shutil.copytree(INSIDE, self.tree / "opt/inside")
        self.group = cage.group(self.name)
        self._boot()

    def __exit__(self, *_):
        if self.group:
            cage.end_group(self.group)
        if self.nspawn:
            self.nspawn.wait()
        # From Debian 13 on it mounts the second as well, and would not boot the next one over it.
        for mounted in (self.tree, f"/run/systemd/nspawn/unix-export/{self.name}"):
            if os.path.ismount(mounted):
                subprocess.run(["umount", "-l", mounted], check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def _boot(self):
        def join():
            (self.group / "cgroup.procs").write_text("0")
            os.setsid()

        self.console = self.home / "console"
        with open(self.console, "wb") as console:
            self.nspawn = subprocess.Popen(
                # Without a network; bpf is for IPAddressDeny=.
                ["systemd-nspawn", "-q", "-D", self.tree, "-M", self.name, "--private-network", "--register=no",
                 "--keep-unit", "--system-call-filter=bpf", "--capability=CAP_BPF,CAP_PERFMON", "-b"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, preexec_fn=join,
                env={**os.environ, "UNIFIED_CGROUP_HIERARCHY": "1"})
        self.leader = self._wait("its first process", self._find_leader)
        self._wait("systemd", lambda: self.try_("systemctl is-system-running").stdout.strip() in ("running", "degraded"))

    def _wait(self, what, look, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            if self.nspawn.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{self.name} did not boot: no {what}\n{self.console.read_text(errors='replace')[-3000:]}")

    def _find_leader(self):
        for member in self.group.rglob("cgroup.procs"):
            for pid in member.read_text().split():
                try:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                ids = next((line for line in status.splitlines() if line.startswith("NSpid:")), "").split()
                if len(ids) > 2 and ids[-1] == "1":
                    return pid
        return None

    def start(self, command, **how):
        """Begins a command inside and gives its Popen."""
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("stderr", subprocess.STDOUT)
        line = ["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--wdns=/", "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                "SYSTEMD_PAGER=", "sh", "-c", command]
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, text=True, errors="replace", **how)

    def try_(self, command, timeout=120):
        """Runs a command inside, whatever it returns: returncode and stdout (with stderr)."""
        child = self.start(command)
        try:
            out, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            raise AssertionError(f"{command}: took more than {timeout} s") from None
        return subprocess.CompletedProcess(command, child.returncode, out)

    def run(self, command, timeout=120):
        """Runs a command inside that must succeed; gives what it printed."""
        done = self.try_(command, timeout)
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def json(self, command, timeout=600):
        """Runs one of the programs of inside/; it must succeed and print JSON last."""
        out = self.run(f"python3 -B /opt/inside/{command}", timeout)
        return json.loads(out.strip().splitlines()[-1])

    def show(self, unit, prop):
        """One property of a unit."""
        return self.run(f"systemctl show -P {prop} {unit}").strip()

    def until(self, what, look, seconds=10):
        """Waits until look() is true; gives what it said."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
            time.sleep(0.05)
        return found

    def write(self, path, text):
        """Writes a file inside."""
        self.run(f"mkdir -p {os.path.dirname(path)}")
        writer = self.start(f"cat > {path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE")
        assert writer.wait() == 0, f"cannot write {path}"

    def bring(self, source, path):
        """Copies a file of the host inside, below /opt."""
        assert path.startswith("/opt/")
        target = self.tree / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def records(self, *matches, after=None):
        """Journal records as dictionaries."""
        since = f"--after-cursor='{after}'" if after else ""
        out = self.run(f"journalctl -o json --no-pager -q {since} {' '.join(matches)}")
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def cursor(self):
        """Where the journal is now."""
        self.run("journalctl --sync")
        out = self.run("journalctl -n 0 --show-cursor --no-pager")
        return out.strip().splitlines()[-1].removeprefix("-- cursor: ")

    def complaints(self, after):
        """Records of priority warning or worse that concern echod."""
        found = []
        self.run("journalctl --sync")
        # Not with -p: 252 loses the first record after a cursor that does not match.
        for record in self.records(after=after):
            if int(record.get("PRIORITY", 6)) > 4:
                continue
            text = str(record.get("MESSAGE"))
            about = " ".join(str(record.get(key, "")) for key in ("_SYSTEMD_UNIT", "UNIT", "SYSLOG_IDENTIFIER")) + text
            if "echo" in about and not any(noise in text for noise in NOISE):
                found.append(text)
        return found
