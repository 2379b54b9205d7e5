"""An upgrade while clients keep coming, and one that changes the sockets."""

from cases.sockets import active, hears, listening
from suite import SERVICES, SOCKETS, case

PLACES = "reply,127.0.0.1:8080 'reply,[::1]:8080' rfc862,127.0.0.1:7 'rfc862,[::1]:7'"


def _knock(host, command, clients=50):
    said = host.json(f"knock.py --clients {clients} --at {PLACES} --during \"{command}\"")
    return f"{said['answered']} connections, none refused or reset, the longest took {said['longest']} s"


def _while_it_is_installed(host, command):
    """Knocks through a command that must restart each service, and neither socket."""
    host.run(f"systemctl start {' '.join(SOCKETS)}")
    # Only a service that runs can be restarted.
    for unit in SOCKETS:
        hears(host, unit)
    processes = {unit: host.show(unit, "MainPID") for unit in SERVICES}
    since = {unit: host.show(unit, "ActiveEnterTimestampMonotonic") for unit in SOCKETS}
    assert "0" not in processes.values(), processes
    told = _knock(host, command)
    for unit, before in processes.items():
        after = host.show(unit, "MainPID")
        assert after not in ("0", before), f"{unit} was not restarted: {before}, then {after}"
    for unit, before in since.items():
        assert host.show(unit, "ActiveEnterTimestampMonotonic") == before, f"{unit} was restarted"
    return told


@case
def fifty_clients_connect_through_an_upgrade_and_none_is_refused(host):
    host.bring(host.built.changed("0.1.0+next"), "/opt/next.deb")
    told = _while_it_is_installed(host, "apt-get install -y /opt/next.deb")
    assert host.run("dpkg-query -W -f '${Version}' echod") == "0.1.0+next"
    return told


@case
def fifty_clients_connect_through_a_reinstallation_and_none_is_refused(host):
    host.bring(host.built.changed("0.1.0+next"), "/opt/next.deb")
    host.run("apt-get install -y /opt/next.deb")
    return _while_it_is_installed(host, "apt-get install -y --reinstall /opt/next.deb")


@case
def fifty_clients_connect_through_ten_restarts_and_none_is_refused(host):
    host.run(f"systemctl start {' '.join(SOCKETS)}")
    return _knock(host, f"for i in 1 2 3 4 5 6 7 8 9 10; do systemctl restart {' '.join(SERVICES)} || exit 1; done")


@case
def an_upgrade_starts_nothing_that_is_stopped(host):
    host.bring(host.built.changed("0.1.0+later"), "/opt/later.deb")
    host.run("systemctl start echo.socket; apt-get install -y --allow-downgrades /opt/later.deb")
    assert active(host, "echo.socket")
    assert not any(active(host, unit) for unit in ("echo.service", "echo-rfc862.socket", "echo-rfc862.service"))


def _other_port(tree):
    for path in tree.glob("**/systemd/system/echo.socket"):
        path.write_text(path.read_text().replace(":8080", ":8090"))


@case(complains="Socket unit configuration has changed while unit has been running")
def an_upgrade_that_changes_the_address_listens_there(host):
    host.run(f"systemctl start {' '.join(SOCKETS)}")
    hears(host, "echo.socket")
    other = host.show("echo-rfc862.socket", "ActiveEnterTimestampMonotonic")
    host.bring(host.built.changed("0.1.0+other", _other_port), "/opt/other.deb")
    host.run("apt-get install -y --allow-downgrades /opt/other.deb")
    assert listening(host) == ["7", "8090"], listening(host)
    assert host.json("say.py 127.0.0.1:8090 hello") == {"heard": "hello-回传"}
    assert host.json("say.py '[::1]:8090' hello") == {"heard": "hello-回传"}
    assert host.show("echo-rfc862.socket", "ActiveEnterTimestampMonotonic") == other, "the other socket was restarted"
    assert host.run("ls /run/*.dpkg-old 2>/dev/null || true").strip() == ""
