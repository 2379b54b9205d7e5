"""A service that fails again and again never takes its socket with it."""

from cases.sockets import active, hears, service
from suite import KILLED, SOCKETS, case

TIMES = 100


def _break(host, unit, lines):
    host.write(f"/etc/systemd/system/{service(unit)}.d/broken.conf", f"[Service]\n{lines}")
    host.run("systemctl daemon-reload")


def _mend(host, unit):
    host.run(f"rm -r /etc/systemd/system/{service(unit)}.d && systemctl daemon-reload")


def _restarts(host, unit):
    return int(host.show(service(unit), "NRestarts"))


@case(complains="exit|status|Failed|option|argument")
def a_service_that_cannot_start_a_hundred_times_serves_when_it_can(host):
    _break(host, "echo.socket", "ExecStart=\nExecStart=/usr/sbin/echod --no-such-option")
    host.run("systemctl start echo.socket")
    client = host.start("python3 -B /opt/inside/talk.py --with reply,127.0.0.1:8080,5 --patience 300")
    host.until(f"{TIMES} starts", lambda: _restarts(host, "echo.socket") >= TIMES, 240)
    assert active(host, "echo.socket")
    _mend(host, "echo.socket")
    # Those who waited all the time are served, too.
    out, _ = client.communicate(timeout=300)
    assert client.returncode == 0, out
    hears(host, "echo.socket")
    return f"{_restarts(host, 'echo.socket')} starts"


@case(complains="exit|status|Failed|killed")
def a_service_that_dies_of_each_connection_a_hundred_times_serves_when_mended(host):
    for unit in SOCKETS:
        _break(host, unit, "ExecStart=\nExecStart=/usr/bin/python3 -B /opt/inside/dies.py\nExecPaths=/usr/bin")
        host.run(f"systemctl start {unit}")
    ports = " ".join(["8080", "7"])
    host.run(f"for i in $(seq {TIMES}); do for port in {ports}; do "
             "python3 -B /opt/inside/say.py 127.0.0.1:$port hello & done; wait; done", 300)
    for unit in SOCKETS:
        assert active(host, unit)
        assert _restarts(host, unit) >= TIMES // 2, f"{_restarts(host, unit)} deaths of {unit}"
        _mend(host, unit)
        host.run(f"systemctl restart {service(unit)}")
        hears(host, unit)


@case(complains=f"{KILLED}|killed|Failed|status|Main process")
def a_killed_service_is_back_for_the_next_client(host):
    host.run("systemctl start echo.service")
    for _ in range(10):
        host.run("systemctl kill -s KILL --kill-whom=main echo.service")
        hears(host, "echo.socket")


@case(complains="exit|status|Failed|Timed|timed|timeout|killed|Watchdog")
def a_service_that_is_never_ready_does_not_take_the_socket_along(host):
    _break(host, "echo.socket", "ExecStart=\nExecStart=/usr/bin/sleep 600\nExecPaths=/usr/bin\nTimeoutStartSec=1")
    host.run("systemctl start echo.socket")
    waiting = host.start("python3 -B /opt/inside/talk.py --with reply,127.0.0.1:8080,5 --patience 60")
    host.until("3 starts", lambda: _restarts(host, "echo.socket") >= 3, 30)
    assert active(host, "echo.socket")
    _mend(host, "echo.socket")
    host.run("systemctl restart echo.service")
    out, _ = waiting.communicate(timeout=90)
    assert waiting.returncode == 0, out
