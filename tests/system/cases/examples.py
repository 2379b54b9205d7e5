"""The examples of the documentation folder do what they say."""

import shlex

from cases.locks import exposure
from cases.sockets import active, hears
from suite import case

EXAMPLES = "/usr/share/doc/echod/examples"


def tells(host, name):
    """What the comment at the head of an example tells to type."""
    lines = [line[4:] for line in host.run(f"cat {EXAMPLES}/{name}").splitlines() if line.startswith("#   ")]
    assert lines, name
    return "\n".join(lines)


@case(complains="not functional until restarted")
def one_process_serves_each_connection(host):
    host.run("systemctl start echo.socket")
    # One for all of them is there, and has to go.
    hears(host, "echo.socket")
    assert active(host, "echo.service")
    host.run(f"bash -ec {shlex.quote(tells(host, 'echo@.service'))}")
    assert host.run("systemd-analyze verify echo.socket echo@1.service 2>&1").strip() == ""
    assert exposure(host, "echo@1.service") <= 0.3
    host.run("systemctl start echo.socket")
    client = host.start("python3 -B /opt/inside/talk.py --with reply,127.0.0.1:8080,5 --during 'sleep 2'")
    host.until("five processes", lambda: _instances(host) == 5, 30)
    out, _ = client.communicate(timeout=60)
    assert client.returncode == 0, out
    hears(host, "echo.socket")
    assert not active(host, "echo.service"), "one process serves them all"
    host.until("no process", lambda: _instances(host) == 0)
    host.run("systemctl stop echo.socket")


def _instances(host):
    return len(host.run("systemctl list-units --plain --no-legend 'echo@*' --state=active").splitlines())


@case
def a_drop_in_lets_it_bind_its_own_sockets(host):
    host.run(f"install -Dm644 {EXAMPLES}/self-binding.conf /etc/systemd/system/echo.service.d/self-binding.conf")
    host.run("systemctl daemon-reload")
    assert host.run("systemd-analyze verify echo.service 2>&1").strip() == ""
    assert exposure(host, "echo.service") <= 1.2
    host.run("systemctl start echo.service")
    hears(host, "echo.socket")
    assert host.json("say.py 127.0.0.1:8081 hello") == {"heard": "hello-回传"}
    return f"exposure {exposure(host, 'echo.service')}"


@case(complains="bind|listen|exit|status|Failed|self-binding")
def without_the_drop_in_the_failure_names_it(host):
    host.write("/etc/systemd/system/echo.service.d/only.conf",
               "[Service]\nEnvironment=ECHOD_LISTEN_STREAM=127.0.0.1:8081")
    host.run("systemctl daemon-reload")
    assert host.try_("systemctl start echo.service").returncode != 0
    told = host.run("journalctl -q -u echo -n 20 --no-pager")
    assert "self-binding.conf" in told, told
