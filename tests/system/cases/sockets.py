"""Starting, stopping and restarting each unit in each state, and the first client."""

import json

from suite import SERVICES, SOCKETS, case

# protocol, address of each socket unit; what comes back for "hello"
TALKS = {
    "echo.socket": (["127.0.0.1:8080", "[::1]:8080"], "hello-回传"),
    "echo-rfc862.socket": (["127.0.0.1:7", "[::1]:7"], "hello"),
}


def hears(host, unit):
    """Every address of a socket unit answers."""
    addresses, owed = TALKS[unit]
    for address in addresses:
        said = host.json(f"say.py {address} hello")
        assert said == {"heard": owed}, f"{address}: {said}"


def refuses(host, unit):
    """No address of a socket unit is open."""
    for address in TALKS[unit][0]:
        said = host.json(f"say.py {address} hello")
        assert said == {"fault": "Connection refused"}, f"{address}: {said}"


def service(unit):
    """The service of a socket unit."""
    return unit.replace(".socket", ".service")


def active(host, unit):
    """Whether a unit is active."""
    return host.try_(f"systemctl is-active {unit}").stdout.strip() == "active"


def listening(host):
    """The ports that are open."""
    return sorted({line.split()[4].rsplit(":", 1)[1] for line in host.run("ss -Hltun").splitlines()})


@case
def a_started_socket_listens_and_its_service_sleeps(host):
    host.run("systemctl start echo.socket")
    assert listening(host) == ["8080"]
    assert not active(host, "echo.service")


@case
def the_first_connection_starts_the_service_and_port_7_stays_closed(host):
    host.run("systemctl start echo.socket")
    hears(host, "echo.socket")
    assert active(host, "echo.service")
    assert listening(host) == ["8080"]
    assert not active(host, "echo-rfc862.socket") and not active(host, "echo-rfc862.service")
    refuses(host, "echo-rfc862.socket")


@case
def the_first_datagram_starts_the_service_and_each_comes_back_whole(host):
    host.run("systemctl start echo-rfc862.socket && ip address add 127.0.0.5/8 dev lo 2>/dev/null || true")
    for size in (5, 0, 1472, 8193, 65_507):
        for address in ("127.0.0.5:7", "127.0.0.1:7", "[::1]:7"):
            said = host.json(f"datagram.py {address} {size}")
            assert said == {"same": True}, f"{size} bytes to {address}: {said}"
    assert active(host, "echo-rfc862.service")


@case
def each_socket_starts_while_the_other_service_runs(host):
    for first, second in (SOCKETS, SOCKETS[::-1]):
        host.run(f"systemctl start {first}")
        hears(host, first)
        host.run(f"systemctl start {second}")
        hears(host, second)
        assert all(active(host, unit) for unit in SERVICES)
        host.run(f"systemctl stop {' '.join(SOCKETS)}")
        assert not any(active(host, unit) for unit in SERVICES)


@case
def every_command_in_every_state_leaves_what_it_says(host):
    # command, then: socket active, service active; None: as before
    table = {
        "stop": (False, False), "start .socket": (True, None), "start .service": (True, True),
        "restart .socket": (True, None), "restart .service": (True, True), "restart both": (True, True),
        "try-restart both": None, "stop .socket": (False, False), "stop .service": (None, False),
    }
    states = {"all stopped": "", "socket listening": "start .socket", "both running": "start .service"}
    shown = 0
    for unit in SOCKETS:
        for state, arrive in states.items():
            for command, outcome in table.items():
                host.run(f"systemctl stop {unit} {service(unit)}")
                if arrive:
                    host.run(_spelled(arrive, unit))
                before = active(host, unit), active(host, service(unit))
                host.run(_spelled(command, unit))
                _arrives(host, unit, before, command, outcome, state)
                if active(host, unit):
                    hears(host, unit)
                    assert active(host, service(unit))
                shown += 1
    return f"{shown} transitions"


def _spelled(command, unit):
    verb, *what = command.split()
    names = {".socket": unit, ".service": service(unit)}.get(what[0] if what else "", f"{unit} {service(unit)}")
    return f"systemctl {verb} {names}"


def _arrives(host, unit, before, command, outcome, state):
    wanted = [then if want is None else want for want, then in zip(outcome or before, before)]
    def now():
        return [active(host, unit), active(host, service(unit))]
    try:
        # A service that was there is back a moment after its socket's restart.
        host.until("", lambda: now() == wanted, 5)
    except AssertionError:
        raise AssertionError(f"{unit}, {state}, {command}: {before} became {now()}, not {wanted}") from None


@case
def sixty_restarts_in_a_row_succeed_under_clients(host):
    host.run(f"systemctl start {' '.join(SERVICES)}")
    answered = 0
    for unit in SOCKETS:
        protocol = host.show(unit, "FileDescriptorName")
        places = " ".join(f"'{protocol},{address}'" for address in TALKS[unit][0])
        for command in (f"restart {unit}", f"restart {unit} {service(unit)}", f"try-restart {service(unit)}"):
            before = host.show(service(unit), "MainPID")
            host.write("/opt/restarts.sh", f"for i in $(seq 10); do systemctl {command} || exit 1; done")
            done = host.try_(f"python3 -B /opt/inside/knock.py --clients 6 --at {places} --during 'sh /opt/restarts.sh'")
            said = json.loads(done.stdout.strip().splitlines()[-1])
            assert said["command"] == 0 and not (said["wrong"] or said["late"]), f"{command}: {done.stdout}"
            # A socket that is closed refuses, and resets who waits in its queue; one that stays does neither.
            assert "try" not in command or not (said["refused"] or said["reset"]), f"{command}: {said}"
            hears(host, unit)
            assert host.show(service(unit), "MainPID") not in ("0", before), command
            answered += said["answered"]
    return f"{answered} clients were answered meanwhile"


@case
def the_status_is_live(host):
    host.run("systemctl start echo.socket")
    for _ in range(3):
        hears(host, "echo.socket")
    told = host.until("6 served", lambda: "6 served" in host.show("echo.service", "StatusText"))
    assert told
    shown = host.run("systemctl status --no-pager echo")
    assert 'Status: "' in shown and "served" in shown, shown
    return host.show("echo.service", "StatusText")


@case
def the_address_of_ipv6_may_be_missing(host):
    host.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    try:
        host.run(f"systemctl start {' '.join(SOCKETS)}")
        assert host.json("say.py 127.0.0.1:8080 hello") == {"heard": "hello-回传"}
        assert host.json("say.py 127.0.0.1:7 hello") == {"heard": "hello"}
    finally:
        host.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=0")


@case
def port_7_is_served_without_any_capability(host):
    host.run("systemctl start echo-rfc862.socket")
    hears(host, "echo-rfc862.socket")
    pid = host.show("echo-rfc862.service", "MainPID")
    status = dict(line.split(":", 1) for line in host.run(f"cat /proc/{pid}/status").splitlines() if ":" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, f"{kind}: {status[kind]}"
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    assert status["Uid"].split()[0] != "0"


@case(complains="Address already in use|Failed to (receive listening socket|listen on)|Failed with result 'resources'")
def a_taken_port_is_a_clear_failure_and_heals(host):
    for unit, port in (("echo.socket", 8080), ("echo-rfc862.socket", 7)):
        squatter = host.start("exec python3 -c 'import socket, time; s = socket.socket(); s.setsockopt(1, 2, 1); "
                              f"s.bind((\"\", {port})); s.listen(); time.sleep(600)'")
        host.until("the port is taken", lambda port=port: str(port) in listening(host))
        done = host.try_(f"systemctl start {unit}")
        assert done.returncode != 0, done.stdout
        # Said by a helper of PID 1 that lives too short to be told by unit.
        told = [text for text in host.complaints(host.begun) if f"{unit}: " in text]
        assert any("Address already in use" in text for text in told), told
        assert not active(host, service(unit))
        host.run("pkill -f '[t]ime.sleep.600'")
        squatter.wait()
        host.run(f"systemctl start {unit}")
        hears(host, unit)
        host.run(f"systemctl stop {unit}")
