"""Conversations go on through everything that ends a process."""

import json

from suite import SERVICES, SOCKETS, case

LINE = "echo-line"
ALL = [*SERVICES, f"{LINE}.service"]
# 1,000 conversations of all three protocols.
PARTIES = "reply,127.0.0.1:8080,334 line,127.0.0.1:8081,333 rfc862,127.0.0.1:7,333"
PLACES = "reply,127.0.0.1:8080 line,127.0.0.1:8081 rfc862,127.0.0.1:7"
TIMES = 20


def _three_protocols(host):
    """A third pair of units, as the manual shows it, speaks line."""
    host.run(f"cd /etc/systemd/system && cp /usr/lib/systemd/system/echo.service {LINE}.service 2>/dev/null || "
             f"cp /lib/systemd/system/echo.service /etc/systemd/system/{LINE}.service")
    host.write(f"/etc/systemd/system/{LINE}.socket",
               "[Unit]\nStartLimitIntervalSec=0\n[Socket]\nListenStream=127.0.0.1:8081\n"
               "FileDescriptorName=line\nBacklog=4096\nTriggerLimitIntervalSec=0")
    host.run(f"systemctl daemon-reload && systemctl start {' '.join(SOCKETS)} {LINE}.socket")


def _through(host, command, knocking=True):
    """1,000 conversations, and clients that keep coming, while the command runs."""
    _three_protocols(host)
    host.write("/opt/during.sh", f"set -e\n{command}")
    talk = f"python3 -B /opt/inside/talk.py --with {PARTIES} --during 'sh /opt/during.sh' --patience 120"
    if knocking:
        host.write("/opt/talk.sh", f"{talk} >/opt/talk.json")
        knock = host.try_(f"python3 -B /opt/inside/knock.py --clients 6 --at {PLACES} --during 'sh /opt/talk.sh'", 600)
    else:
        knock = host.try_(f"{talk} >/opt/talk.json", 600)
    said = json.loads(host.run("cat /opt/talk.json").strip().splitlines()[-1])
    assert said["done"] == said["conversations"] == 1000, said
    assert said["command"] == 0, f"{said}\n{knock.stdout}"
    note = (f"{said['bytes'] >> 10} KiB checked, 0 resets, ends or wrong bytes; "
            f"pause {said['pause_median']} s, at most {said['pause_max']} s")
    return note, (json.loads(knock.stdout.strip().splitlines()[-1]) if knocking else None)


def _nobody_refused(host, command):
    note, new = _through(host, command)
    assert not (new["refused"] or new["reset"] or new["wrong"] or new["late"]), new
    return f"{note}; {new['answered']} new ones, none refused"


def _times(count, *lines):
    """So many times these lines, and time to talk between."""
    body = "\n".join(lines)
    return f"for i in $(seq {count}); do\n{body}\nsleep 0.2\ndone"


@case
def through_twenty_restarts(host):
    return _nobody_refused(host, _times(TIMES, f"systemctl restart {' '.join(ALL)}"))


@case
def through_twenty_restarts_of_a_manager_that_executes_itself_again(host):
    return _nobody_refused(host, _times(TIMES, "systemctl daemon-reexec", f"systemctl restart {' '.join(ALL)}"))


@case
def through_twenty_upgrades(host):
    host.bring(host.built.changed("0.1.0+one"), "/opt/one.deb")
    host.bring(host.built.changed("0.1.0+two"), "/opt/two.deb")
    other = "if [ $((i % 2)) = 0 ]; then deb=one; else deb=two; fi"
    return _nobody_refused(host, _times(TIMES, other, "dpkg -i /opt/$deb.deb"))


@case
def through_twenty_reinstallations(host):
    return _nobody_refused(host, _times(TIMES, "dpkg -i /opt/echod.deb"))


def _killed(host, signal):
    """Each service is killed, and is back before the next time."""
    lines = []
    for unit in ALL:
        lines += [f"before=$(systemctl show -P MainPID {unit})", f"kill -{signal} $before",
                  f"until [ $(systemctl show -P MainPID {unit}) != $before ] && systemctl -q is-active {unit}; "
                  "do sleep 0.02; done"]
    note, new = _through(host, _times(TIMES, *lines))
    # Between accept and the store a death is a reset, before a byte was answered. A
    # service has at most one connection there.
    assert not (new["refused"] or new["wrong"] or new["late"]) and new["reset"] <= TIMES * len(ALL), new
    return f"{note}; {new['answered']} new ones, {new['reset']} lost between accept and the store"


@case(complains="killed|Failed|status|Main process|died")
def through_twenty_kills(host):
    return _killed(host, "KILL")


@case(complains="dumped|killed|Failed|status|Main process|died|core")
def through_twenty_aborts(host):
    return _killed(host, "ABRT")


@case(complains="[Ww]atchdog|Killing|killed|Failed|status|Main process|died|timed out|core|dumped")
def through_five_kills_by_the_watchdog(host):
    for unit in ALL:
        host.write(f"/etc/systemd/system/{unit}.d/watchdog.conf", "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s")
    lines = ["before=$(systemctl show -P MainPID echo.service)", "kill -STOP $before",
             "until [ $(systemctl show -P MainPID echo.service) != $before ] && systemctl -q is-active echo.service; "
             "do sleep 0.05; done"]
    note, _ = _through(host, _times(5, *lines), knocking=False)
    return note


@case
def many_idle_conversations_survive_a_restart_within_two_seconds(host):
    host.run("systemctl start echo-rfc862.socket")
    start = host.json("idle.py --at 127.0.0.1:7 --count 1")
    assert start["answered_after"] == 1, start
    unit = "echo-rfc862.service"
    stored = host.show(unit, "NFileDescriptorStore")
    limit = int(host.run(f"prlimit --nofile -o HARD --noheadings -p $(systemctl show -P MainPID {unit})"))
    # With a store half of the limit: descriptors in bags count as well.
    count = min(15_000, limit // 2 - 100)
    ticks = "cut -d' ' -f14,15 /proc/1/stat"
    host.write("/opt/during.sh", f"{ticks} >/opt/before\nsystemctl restart {unit} || exit 1\n{ticks} >/opt/after\n"
               f"grep ^Pss: /proc/$(systemctl show -P MainPID {unit})/smaps_rollup >/opt/memory")
    said = host.json(f"idle.py --at 127.0.0.1:7 --count {count} --during 'sh /opt/during.sh'")
    assert said["answered_before"] == said["answered_after"] == count, said
    assert said["seconds"] < 2, said
    before, after = (sum(map(int, host.run(f"cat /opt/{name}").split())) for name in ("before", "after"))
    kept = host.run("cat /opt/memory").split()[1]
    host.until("the store is as at the start", lambda: host.show(unit, "NFileDescriptorStore") == stored, 30)
    return (f"{count} conversations, restart {said['seconds']} s, first answer {said['first_answer']} s later, "
            f"{(after - before) * 10} ms of PID 1, {kept} KiB")


@case
def a_hundred_thousand_short_connections_leave_nothing(host):
    host.run("systemctl start echo-rfc862.socket")
    unit = "echo-rfc862.service"
    host.json("brief.py --at 127.0.0.1:7 --count 1000")

    def held():
        return {"stored": int(host.show(unit, "NFileDescriptorStore")),
                "sockets": int(host.run("awk '/^TCP:/ { print $9 }' /proc/net/sockstat")),
                "descriptors": int(host.run(f"ls /proc/$(systemctl show -P MainPID {unit})/fd | wc -l"))}

    before = held()
    said = host.json("brief.py --at 127.0.0.1:7 --count 100000")
    # What is over is in a bag until the bag is: two bags full may lie there.
    host.until("everything is let go", lambda: held()["stored"] <= before["stored"] + 2, 30)
    after = held()
    assert after["sockets"] <= before["sockets"] + 750, (before, after)
    assert after["descriptors"] <= before["descriptors"] + 3, (before, after)
    return f"{said['answered']} connections in {said['seconds']} s; {before} before, {after} after"
