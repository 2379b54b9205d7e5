"""The test itself: each fault that is put in is seen."""

import re

from cases import locks, sockets
from suite import built_deb, case

SERVICE = "**/systemd/system/echo.service"


def _edited(old, new, pattern=SERVICE):
    def edit(tree):
        found = list(tree.glob(pattern))
        assert found and old in found[0].read_text(), f"{old!r} is not in {pattern}"
        found[0].write_text(found[0].read_text().replace(old, new))
    return edit


def _sees(host, name, edit, body, owed, told=""):
    """Installs the package with a fault in it: the case must fail with what is owed, and the journal have told it."""
    host.bring(host.built.changed(f"0.1.0+{name}", edit), "/opt/broken.deb")
    host.run("apt-get install -y --allow-downgrades /opt/broken.deb")
    try:
        try:
            body(host)
        except AssertionError as fault:
            assert re.search(owed, str(fault)), f"{name}: {owed!r} was owed, {body.__name__} said: {fault}"
            host.run("journalctl --sync")
            texts = [str(record.get("MESSAGE")) for record in host.records(after=host.begun)]
            assert any(re.search(told, text) for text in texts), f"{name}: the journal does not say {told!r}"
        else:
            raise AssertionError(f"{body.__name__} did not see {name}")
    finally:
        host.run("systemctl stop echo.socket echo.service; systemctl reset-failed; true")
        host.bring(built_deb(host), "/opt/echod.deb")
        host.run("apt-get install -y --allow-downgrades /opt/echod.deb")


NOISE = ".*"
# What who talks finds where no service comes, until its patience ends.
NOBODY = re.escape("127.0.0.1:8080: {'fault': 'timed out'}")


@case(complains=NOISE)
def a_wrong_program_is_seen(host):
    _sees(host, "program", _edited("/usr/sbin/echod", "/usr/sbin/nonesuch"),
          sockets.the_first_connection_starts_the_service_and_port_7_stays_closed,
          NOBODY, "/usr/sbin/nonesuch: No such file or directory")


@case(complains=NOISE)
def a_missing_ready_is_seen(host):
    _sees(host, "ready", _edited("ExecStart=/usr/sbin/echod", "ExecPaths=/usr/bin\nTimeoutStartSec=3\nExecStart=/usr/bin/sleep 60"),
          sockets.the_first_connection_starts_the_service_and_port_7_stays_closed,
          NOBODY, "start operation timed out")


@case(complains=NOISE)
def a_dropped_lock_is_seen(host):
    _sees(host, "lock", _edited("CapabilityBoundingSet=\n", ""), locks.the_exposure_is_at_most_0_2,
          r"'echo.service': [1-9]\.\d, 'echo-rfc862.service': 0\.")
    _sees(host, "exec", _edited("NoExecPaths=/\n", ""), locks.a_running_service_sees_no_network_and_runs_no_program,
          "/usr/bin/true', returncode=0")


@case(complains=NOISE)
def a_missing_dependency_is_seen(host):
    # Alone, it has no socket.
    _sees(host, "requires", _edited("Requires=%N.socket\n", ""), sockets.every_command_in_every_state_leaves_what_it_says,
          r"systemctl start echo\.service: exit 1\nJob for echo\.service failed")


def _talks(host):
    host.run("systemctl start echo.socket")
    return host.json("talk.py --with reply,127.0.0.1:8080,20 --during 'systemctl restart echo.service'")


@case(complains=NOISE)
def a_lost_conversation_is_seen(host):
    assert _talks(host)["done"] == 20
    _sees(host, "store", _edited("FileDescriptorStoreMax=1024\n", ""), _talks,
          '"done": 0, "reset": 0, "ended": 20, "wrong": 0')


@case(complains=NOISE)
def a_wrong_byte_is_seen(host):
    _sees(host, "suffix", _edited("ExecStart=/usr/sbin/echod", "ExecStart=/usr/sbin/echod --suffix=-回来传"), _talks,
          '"done": 0, "reset": 0, "ended": 0, "wrong": 20')
