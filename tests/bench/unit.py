"""The packaged unit's sandbox, as far as it can be had without a service manager:
tests/bench/confine.c applies it, to echod and to what stands beside it alike."""

import shutil
import subprocess

import plan

UNIT = plan.ROOT / "systemd/echo.service"
# What the report says of it.
SHOWN = ("every own server runs in the sandbox of the packaged unit as far as that can be had without a service "
         "manager: its list of system calls and its further filters (sockets, executable memory, namespaces), no new "
         "privileges, no capabilities, a user of its own, a network, mounts, IPC and host name of its own, a read-only "
         "root and its limit of open files; missing are PrivateUsers=, the memory and device groups, and what covers "
         "paths of /proc and /sys")


def settings(name):
    """The unit's lines of that name, in order."""
    lines = (line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    return [value for key, value in lines if key == name]


def calls_of(group):
    """The system calls of one of systemd's groups, those of its inner groups too."""
    if not group.startswith("@"):
        return {group}
    said = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    words = [line.split("#")[0].strip() for line in said.stdout.splitlines()[1:]]
    return set().union(*(calls_of(word) for word in words if word))


def allowed():
    """The calls that the unit's SystemCallFilter= lines leave."""
    calls = set()
    for line in settings("SystemCallFilter"):
        named = set().union(*map(calls_of, line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    # systemd has these for every service, or nothing could be started.
    return sorted(calls | calls_of("@default"))


def build():
    """Builds the helper; its path, or none where this machine cannot have it."""
    if not shutil.which("systemd-analyze"):
        return None
    (plan.BUILD / "allowed.h").write_text("".join("#ifdef __NR_%s\n__NR_%s,\n#endif\n" % (c, c) for c in allowed()))
    (plan.BUILD / "unit.h").write_text("#define LIMIT_NOFILE %s\n" % settings("LimitNOFILE")[-1])
    program = plan.BUILD / "confine"
    subprocess.run(["gcc", "-O2", "-Wall", "-I", plan.BUILD, "-o", program, plan.HERE / "confine.c"], check=True)
    probe = subprocess.run([program, "/bin/true"], capture_output=True, text=True)
    if probe.returncode != 0:
        print("no sandbox here: " + probe.stderr.strip())
        return None
    return str(program)
