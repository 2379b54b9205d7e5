"""Debian roots, made once and kept: one for each suite, kind and list of packages."""

import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess

SUITES = ["bookworm", "trixie"]


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a root is made of; all of it is part of its key."""

    name: str
    variant: str
    packages: tuple = ()
    # Done in the root once it is there.
    setup: str = "true"
    options: tuple = ()


# What echod needs, what the cases need, and what checks the package inside.
EQUIPPED = Kind("equipped", "minbase", (
    "autopkgtest", "dbus", "haproxy", "init-system-helpers", "iproute2", "libnss-systemd", "lintian",
    "locales", "procps", "python3", "strace", "systemd", "systemd-sysv",
), """
echo 'zh_CN.UTF-8 UTF-8' >"$1/etc/locale.gen" && chroot "$1" locale-gen >/dev/null
# It is started by the case that wants it.
systemctl --root="$1" --quiet disable haproxy.service
""")

# What debootstrap makes when nobody asks for more. Machines have no network, so
# the archives of what the README installs lie where apt keeps what it fetched.
FRESH = Kind("fresh", "important", setup="""
chroot "$1" apt-get -qq install --download-only -o APT::Keep-Downloaded-Packages=true libnss-systemd netcat-openbsd
""", options=("--skip=cleanup/apt/lists", "--skip=cleanup/apt/cache"))


def cache():
    """Where roots are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "echod-system-test"


def ready(suite, kind=EQUIPPED):
    """The root of this suite and kind; makes it if there is none yet."""
    key = hashlib.sha256(f"{suite} {kind}".encode()).hexdigest()[:12]
    place = cache() / f"{suite}-{kind.name}-{key}"
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / f"{suite}-{kind.name}.lock", "w", encoding="utf-8") as lock:
        # A second run waits here while the first one makes it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _make(suite, kind, place)
    return place


def _make(suite, kind, place):
    # Whatever is left of a run that was killed, or of an older list, goes.
    for old in cache().glob(f"{suite}-{kind.name}-*"):
        shutil.rmtree(old)
    unfinished = cache() / f"{suite}-{kind.name}-unfinished"
    made = subprocess.run(
        ["mmdebstrap", "--quiet", f"--variant={kind.variant}", "--mode=root",
         "--aptopt=Acquire::Languages \"none\"", *(f"--include={package}" for package in kind.packages),
         f"--customize-hook={kind.setup}", *kind.options, suite, unfinished],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        raise AssertionError(f"mmdebstrap {suite} failed:\n{made.stdout[-4000:]}")
    unfinished.rename(place)
