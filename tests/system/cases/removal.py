"""Removal stops everything, and purging leaves nothing."""

from cases.sockets import active, hears, listening
from suite import SOCKETS, UNITS, case, install

# What apt, dpkg and the clock change on every machine, whatever the package.
ELSEWHERE = ("/proc/", "/sys/", "/dev/", "/run/", "/tmp/", "/var/log/", "/var/lib/dpkg/", "/var/lib/apt/",
             "/var/cache/", "/opt/", "/var/tmp/", "/root/", "/var/backups/", "/var/lib/systemd/timers/")


def files(host):
    """Every file, and what kind of file it is."""
    found = host.run("find / -xdev -ignore_readdir_race -printf '%y %p\\n'").splitlines()
    there = {line for line in found if not any(f" {place}" in line for place in ELSEWHERE)}
    # The smallest Debian has more.
    assert len(there) > 5_000, f"only {len(there)} files are seen"
    return there


def prepare(host):
    """Nothing is installed; what is there now must be there after the purge."""
    # As it is after any package has come and gone.
    host.run("systemctl daemon-reload; journalctl --update-catalog")
    host.before = files(host), host.run("getent passwd; getent group; cat /etc/passwd /etc/group")


def gone(host):
    """No unit, process or socket of the package is left."""
    for unit in UNITS:
        assert host.show(unit, "LoadState") == "not-found", f"{unit}: {host.show(unit, 'LoadState')}"
        assert not active(host, unit)
    assert host.run("systemctl --failed --plain --no-legend").strip() == ""
    assert listening(host) == []
    assert host.run("find /etc/systemd /run/systemd -lname /dev/null -name '*echo*'").strip() == ""


@case
def removal_stops_everything_and_masks_nothing(host):
    if not hasattr(host, "before"):
        prepare(host)
    install(host)
    host.run(f"systemctl enable --now {' '.join(SOCKETS)}")
    for unit in SOCKETS:
        hears(host, unit)
    host.run("apt-get remove -y echod")
    gone(host)
    host.run("test ! -e /usr/sbin/echod && test ! -e /usr/bin/echo-ping && test ! -e /usr/share/doc/echod")
    host.run("test -e /etc/default/echod")


@case
def it_comes_back_as_it_was(host):
    install(host)
    assert host.try_("systemctl is-enabled echo.socket").stdout.strip() == "enabled"
    host.run("systemctl start echo.socket")
    hears(host, "echo.socket")


@case
def purging_leaves_no_file_no_user_and_no_failed_unit(host):
    install(host)
    host.run(f"systemctl enable --now {' '.join(UNITS)}")
    for unit in SOCKETS:
        hears(host, unit)
    host.run("apt-get purge -y echod")
    gone(host)
    before, users = host.before
    after = files(host)
    assert after == before, f"left: {sorted(after - before)}\nlost: {sorted(before - after)}"
    assert host.run("getent passwd; getent group; cat /etc/passwd /etc/group") == users
    return f"{len(before)} files compared"


@case(complains="Address already in use|Failed")
def a_failed_unit_goes_with_the_package(host):
    install(host)
    squatter = host.start("exec python3 -c 'import socket, time; s = socket.socket(); s.setsockopt(1, 2, 1); "
                          "s.bind((\"\", 8080)); s.listen(); time.sleep(601)'")
    host.until("the port is taken", lambda: "8080" in listening(host))
    assert host.try_("systemctl start echo.socket").returncode != 0
    host.run("pkill -f '[t]ime.sleep.601'")
    squatter.wait()
    host.run("apt-get purge -y echod")
    gone(host)


@case
def a_masked_unit_does_not_hinder_removal(host):
    install(host)
    host.run("systemctl mask echo-rfc862.socket && systemctl start echo.service")
    host.run("apt-get purge -y echod")
    assert not active(host, "echo.service") and listening(host) == []
    host.run("systemctl unmask echo-rfc862.socket")
    gone(host)
