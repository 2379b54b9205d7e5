"""Namespaces and a control group of our own, so that nothing outlives the run.

The test enters a mount and a PID namespace. However it ends, also by SIGKILL,
the kernel then ends each container and forgets each mount. Only the empty
control groups stay, and the next run removes those.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

WORK = pathlib.Path("/run/echod-system-test")
PREFIX = "echod-system-test-"
TOKEN = "ECHOD_SYSTEM_TEST_RUN"


def cannot():
    """Why no container can be booted here, or nothing."""
    if os.geteuid() != 0:
        return "not root"
    missing = [tool for tool in ("systemd-nspawn", "mmdebstrap", "nsenter", "unshare", "mount") if not shutil.which(tool)]
    if missing:
        return f"no {', '.join(missing)}; tests/system/needs lists the packages"
    if hierarchy() is None:
        return "no cgroup v2 hierarchy is mounted"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private", "sh", "-c",
         f"mkdir -p {WORK} && mount -t tmpfs none {WORK} && cd {WORK} && mkdir l u w m && "
         "mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none m"],
        capture_output=True, text=True)
    if tried.returncode != 0:
        return f"namespaces or overlays are forbidden: {tried.stderr.strip()}"
    try:
        group = hierarchy() / f"{PREFIX}probe-{os.getpid()}"
        group.mkdir()
        group.rmdir()
    except OSError as fault:
        return f"cannot make a control group: {fault}"
    return None


def hierarchy():
    """Where cgroup v2 is mounted: /sys/fs/cgroup, or beside v1 in .../unified."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    return None


def enter():
    """Starts this program again in namespaces of its own, and ends with it."""
    if TOKEN in os.environ:
        # In the background of a script it is ignored, and would be by whatever starts here.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "none", WORK], check=True)
        return
    _sweep()
    os.environ[TOKEN] = os.urandom(4).hex()
    inner = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                              "--propagation", "private", sys.executable, *sys.argv], preexec_fn=_die_with_parent)
    signal.signal(signal.SIGTERM, lambda *_: inner.kill())
    # The terminal tells the inner one too, which then says what it has counted.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = inner.wait()
    for left in _groups(PREFIX + os.environ[TOKEN]):
        end_group(left)
    sys.exit(status if status >= 0 else 128 - status)


def group(name):
    """A control group of this run."""
    made = hierarchy() / f"{PREFIX}{os.environ[TOKEN]}-{os.urandom(2).hex()}-{name}"
    made.mkdir()
    return made


def end_group(top):
    """Kills all in a control group and removes it, from the leaves up."""
    if not top.exists():
        return
    (top / "cgroup.kill").write_text("1")
    for _ in range(100):
        if "populated 0" in (top / "cgroup.events").read_text():
            break
        time.sleep(0.05)
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            pass


def _sweep():
    """Removes the empty control groups of runs that were killed."""
    for old in _groups(PREFIX):
        if "populated 0" in (old / "cgroup.events").read_text():
            end_group(old)


def _groups(prefix):
    return [path for path in hierarchy().iterdir() if path.is_dir() and path.name.startswith(prefix)]


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
