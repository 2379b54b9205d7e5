"""What the administrator chose survives upgrade and reinstallation."""

from cases.sockets import active, hears
from suite import SOCKETS, built_deb, case


def _install(host, version):
    host.bring(host.built.changed(version), "/opt/next.deb")
    return host.run("apt-get install -y --allow-downgrades /opt/next.deb")


def _upgrade_and_reinstall(host):
    _install(host, "0.1.0+next")
    host.run("apt-get install -y --reinstall /opt/next.deb")


def _state(host, unit):
    return host.try_(f"systemctl is-enabled {unit}").stdout.strip()


def _back(host):
    host.bring(built_deb(host), "/opt/echod.deb")
    host.run("apt-get install -y --allow-downgrades /opt/echod.deb")


@case
def a_disabled_socket_stays_disabled_and_stopped(host):
    _upgrade_and_reinstall(host)
    for unit in SOCKETS:
        assert _state(host, unit) == "disabled" and not active(host, unit)
    _back(host)


@case
def an_enabled_socket_stays_enabled_and_running(host):
    for unit in SOCKETS:
        host.run(f"systemctl enable --now {unit}")
    _upgrade_and_reinstall(host)
    for unit in SOCKETS:
        assert _state(host, unit) == "enabled"
        hears(host, unit)
        host.run(f"systemctl disable --now {unit}")
    _upgrade_and_reinstall(host)
    assert [_state(host, unit) for unit in SOCKETS] == ["disabled"] * 2
    _back(host)


@case
def a_masked_socket_stays_masked_until_it_is_unmasked(host):
    host.run("systemctl mask echo.socket echo-rfc862.service")
    _upgrade_and_reinstall(host)
    for unit in ("echo.socket", "echo-rfc862.service"):
        assert _state(host, unit) == "masked"
    host.run("systemctl unmask echo.socket echo-rfc862.service && systemctl start echo.socket")
    hears(host, "echo.socket")
    _back(host)


@case
def edits_to_the_defaults_and_drop_ins_survive(host):
    host.run("echo ECHOD_SUFFIX=-edited >> /etc/default/echod")
    host.write("/etc/systemd/system/echo.socket.d/override.conf", "[Socket]\nListenStream=127.0.0.1:8888")
    host.write("/etc/systemd/system/echo.service.d/override.conf", "[Service]\nTasksMax=17")
    host.run("systemctl daemon-reload && systemctl start echo.socket")
    for step in (lambda: None, lambda: _upgrade_and_reinstall(host)):
        step()
        for address in ("127.0.0.1:8080", "127.0.0.1:8888"):
            assert host.json(f"say.py {address} hello") == {"heard": "hello-edited"}
        assert host.show("echo.service", "TasksMax") == "17"
    host.run("sed -i '/-edited/d' /etc/default/echod")
    _back(host)


@case
def the_defaults_that_are_commented_out_are_options(host):
    host.run("cp /etc/default/echod /opt/default; sed -i 's/^#ECHOD_/ECHOD_/' /etc/default/echod")
    host.run("systemctl start echo.socket")
    hears(host, "echo.socket")
    host.run("cp /opt/default /etc/default/echod")
