"""Debian's own echo programs. Those that are not installed are taken from their
packages without installing them: some cannot stand beside each other, and some
would start."""

import os
import pathlib
import shutil
import subprocess

import plan

PLACE = plan.BUILD / "debian"
# Port 7 of an address that nobody else uses: inetd's internal echo has no other.
ADDRESS = "127.0.0.7"

# Each package with the libraries that it has to itself.
PACKAGES = {
    "xinetd": ["xinetd", "libwrap0", "libtirpc3"],
    "openbsd-inetd": ["openbsd-inetd", "libwrap0", "libbsd0", "libmd0", "libevent-2.1-7", "libtirpc3"],
    "inetutils-inetd": ["inetutils-inetd"],
    "socat": ["socat", "libwrap0"],
    "ncat": ["ncat", "liblua5.3-0", "libpcap0.8", "libdbus-1-3", "libibverbs1"],
}

XINETD = """defaults
{
    instances = UNLIMITED
    per_source = UNLIMITED
    cps = 1000000 1
}
service echo
{
    type = INTERNAL
    id = echo-stream
    flags = NOLIBWRAP
    socket_type = stream
    protocol = tcp
    user = root
    wait = no
    bind = %s
}
""" % ADDRESS


# They ask a name server who each peer is, and under a load of connections gave no
# answers for that alone; this machine's own files may tell them.
NO_NAMES = 'mount --bind "$0" /etc/nsswitch.conf && exec "$@"'


def fetch(package):
    """The folder with a package's files; none if it cannot be had."""
    place = PLACE / package
    if (place / "done").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for part in PACKAGES[package]:
        got = subprocess.run(["apt-get", "download", part], cwd=place, capture_output=True)
        # A library may be called otherwise in this release, and be there already.
        if got.returncode != 0 and part == package:
            return None
    for archive in place.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, place], check=True)
    (place / "done").touch()
    return place


def program(package, *names):
    """The command of one of a package's programs."""
    for name in names:
        # The inetds replace one another under one name, so a path proves nothing.
        if found := package not in ("openbsd-inetd", "inetutils-inetd") and shutil.which(name):
            return [found]
    if not (place := fetch(package)):
        return None
    for name in names:
        for found in [*place.glob("usr/sbin/" + name), *place.glob("usr/bin/" + name)]:
            libraries = [str(place / "usr/lib/x86_64-linux-gnu"), str(place / "lib/x86_64-linux-gnu")]
            command = ["env", "LD_LIBRARY_PATH=" + ":".join(libraries), str(found)]
            if subprocess.run(["env", *command[1:2], "ldd", command[2]], capture_output=True,
                              text=True).stdout.count("not found") == 0:
                return command
    return None


def servers(port):
    """All that can be had here, as they are started."""
    PLACE.mkdir(parents=True, exist_ok=True)
    inetd = PLACE / "inetd.conf"
    inetd.write_text(ADDRESS + ":echo stream tcp nowait root internal\n")
    xinetd = PLACE / "xinetd.conf"
    xinetd.write_text(XINETD)
    names_of_hosts = PLACE / "nsswitch.conf"
    names_of_hosts.write_text("passwd: files\ngroup: files\nservices: files\nprotocols: files\nhosts: files\n")
    alone = ("unshare", "--mount", "sh", "-c", NO_NAMES, str(names_of_hosts))
    at = "%s:%d" % (ADDRESS, port)
    # By default inetd(8) ends a service of more than so many connections a minute;
    # with -R 0 openbsd-inetd refused them as well.
    rows = [
        ("xinetd", "xinetd", ("xinetd",), ["-dontfork", "-f", str(xinetd)], ADDRESS + ":7"),
        ("openbsd-inetd", "openbsd-inetd", ("inetd",), ["-i", "-R", "1000000", str(inetd)], ADDRESS + ":7"),
        ("inetutils-inetd", "inetutils-inetd", ("inetutils-inetd", "inetd"), ["-R", "1000000", str(inetd)],
         ADDRESS + ":7"),
        ("socat-pipe", "socat … PIPE", ("socat",),
         ["TCP-LISTEN:%d,bind=%s,fork,reuseaddr,backlog=4096" % (port, ADDRESS), "PIPE"], at),
        ("socat-cat", "socat … EXEC:cat", ("socat",),
         ["TCP-LISTEN:%d,bind=%s,fork,reuseaddr,backlog=4096" % (port, ADDRESS), "EXEC:/bin/cat"], at),
        ("ncat", "ncat -l -k -e /bin/cat", ("ncat",),
         ["-l", "-k", "-m", "10000", "-e", "/bin/cat", ADDRESS, str(port)], at),
    ]
    for name, shown, names, arguments, where in rows:
        package = name if name in PACKAGES else name.split("-")[0]
        command = program(package, *names)
        if command:
            yield plan.Server(name, shown, (*alone, *command, *arguments), forks=True, binds=where)
