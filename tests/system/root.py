"""Debian roots, made once and kept: one for each suite and list of packages."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess

SUITES = ["bookworm", "trixie"]

# What echod needs, what the cases need, and what checks the package inside.
PACKAGES = [
    "autopkgtest", "dbus", "haproxy", "init-system-helpers", "iproute2", "libnss-systemd", "lintian",
    "locales", "procps", "python3", "strace", "systemd", "systemd-sysv",
]

# Done in the root once it is there; part of its key.
SETUP = """
echo 'zh_CN.UTF-8 UTF-8' >"$1/etc/locale.gen" && chroot "$1" locale-gen >/dev/null
# It is started by the case that wants it.
systemctl --root="$1" --quiet disable haproxy.service
"""


def cache():
    """Where roots are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "echod-system-test"


def ready(suite):
    """The root of this suite; makes it if there is none yet."""
    key = hashlib.sha256(f"{suite} {PACKAGES} {SETUP}".encode()).hexdigest()[:12]
    place = cache() / f"{suite}-{key}"
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / f"{suite}.lock", "w", encoding="utf-8") as lock:
        # A second run waits here while the first one makes it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _make(suite, place)
    return place


def _make(suite, place):
    # Whatever is left of a run that was killed, or of an older list, goes.
    for old in cache().glob(f"{suite}-*"):
        shutil.rmtree(old)
    unfinished = cache() / f"{suite}-unfinished"
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--aptopt=Acquire::Languages \"none\"",
         f"--include={','.join(PACKAGES)}", f"--customize-hook={SETUP}", suite, unfinished],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        raise AssertionError(f"mmdebstrap {suite} failed:\n{made.stdout[-4000:]}")
    unfinished.rename(place)
