"""How far the services are locked down, and that they work all the same."""

from cases.sockets import hears, service
from suite import SERVICES, SOCKETS, case


def exposure(host, unit):
    """What systemd-analyze security says of a unit, 0.0 to 10.0."""
    out = host.run(f"systemd-analyze security --no-pager {unit}")
    line = next(line for line in out.splitlines() if "Overall exposure level" in line)
    return float(line.split(":")[1].split()[0])


@case
def the_exposure_is_at_most_0_2(host):
    found = {unit: exposure(host, unit) for unit in SERVICES}
    # As the README says.
    assert all(value <= 0.2 for value in found.values()), found
    return ", ".join(f"{unit} {value}" for unit, value in found.items())


@case
def a_running_service_sees_no_network_and_runs_no_program(host):
    for unit in SOCKETS:
        host.run(f"systemctl start {unit}")
        hears(host, unit)
        pid = host.show(service(unit), "MainPID")
        for kind in ("net", "ipc", "mnt", "user"):
            own, others = host.run(f"readlink /proc/{pid}/ns/{kind} /proc/1/ns/{kind}").split()
            assert own != others, f"{unit} shares the {kind} namespace"
        done = host.try_(f"nsenter -t {pid} -m /usr/bin/true")
        assert done.returncode != 0 and "Permission denied" in done.stdout, done
        done = host.try_(f"nsenter -t {pid} -m /usr/sbin/echod --version")
        assert done.returncode == 0, done
        done = host.try_(f"nsenter -t {pid} -m dd if=/dev/zero of=/var/lib/written count=1")
        assert done.returncode != 0, done


@case
def each_service_has_what_the_units_ask_for(host):
    for unit in SERVICES:
        assert host.show(unit, "FileDescriptorStoreMax") == "1024"
        assert host.show(unit, "Restart") == "always"
        assert host.show(unit, "StartLimitIntervalUSec") == "0"
    for unit in SOCKETS:
        assert host.show(unit, "TriggerLimitIntervalUSec") == "0"
