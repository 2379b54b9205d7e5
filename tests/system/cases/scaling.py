"""Two instances, as packaging/doc/scaling.md has them: its blocks are what is done here."""

import json
import re

from suite import KILLED, case

PAGE = "/usr/share/doc/echod/scaling.md"
INSTANCES = ["echo-a", "echo-b"]
BALANCED = "127.0.0.1:9000"
SHARED = "127.0.0.1:9003"


def _follow(host, heading):
    """Does what a section says: files are written (haproxy.cfg: added to), commands run."""
    text = host.run(f"zcat -f {PAGE} {PAGE}.gz 2>/dev/null || true")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```(\w+)\n(.*?)```", section, re.S)
    assert blocks, f"{heading} has no blocks"
    said = ""
    for kind, block in blocks:
        if kind == "sh":
            host.write("/opt/block.sh", block)
            said += host.run("sh -e /opt/block.sh")
        elif kind == "haproxy":
            host.run("cp -n /etc/haproxy/haproxy.cfg /opt/haproxy.cfg")
            host.write("/opt/more.cfg", block)
            host.run("cat /opt/haproxy.cfg /opt/more.cfg >/etc/haproxy/haproxy.cfg")
        else:
            host.write(re.match(r"# (/\S+)\n", block)[1], block)
    return said


def _balanced(host):
    said = _follow(host, "Behind a balancer")
    assert "ECHO OK: 5 sent, 5 received" in said, said


def _on_one_port(host):
    """As the page says; its first section has the units."""
    _follow(host, "Behind a balancer")
    host.run("systemctl stop haproxy.service")
    _follow(host, "Two instances on one port")


def _end(host):
    host.run("systemctl stop haproxy.service; true")


def _pings(host, address, words):
    """Begins echo-ping, whose connections last as long as it does."""
    # Not into a pipe, which would hold it up when nobody reads.
    return host.start(f"exec echo-ping --json --protocol reply {words} {address} >/opt/pings.json")


def _came(host, client):
    """Its status, its summary, and why connections ended."""
    said, _ = client.communicate(timeout=120)
    assert said == "", said
    objects = [json.loads(line) for line in host.run("grep -v '\"type\":\"answer\"' /opt/pings.json").splitlines()]
    return client.returncode, objects[-1], [it["reason"] for it in objects if it["type"] == "ended"]


def _conversations(host, instance):
    """How many an instance says it has."""
    told = re.match(r"(\d[\d,]*) conversation", host.show(f"{instance}.service", "StatusText"))
    return int(told[1].replace(",", "")) if told else 0


def _through(host, address, command):
    """100 conversations that go on, and new clients all the time, while a command runs."""
    client = _pings(host, address, "--connections 100 --rate 2000 --timeout 20s --duration 12s")
    # Both have their part before anything happens.
    host.until("both are talked to", lambda: all(_conversations(host, name) > 20 for name in INSTANCES))
    host.write("/opt/during.sh", command)
    new = host.json(f"knock.py --clients 20 --at reply,{address} --during 'sh -e /opt/during.sh'")
    status, summary, ended = _came(host, client)
    assert (status, ended) == (0, []), f"{summary}\n{ended[:3]}"
    assert summary["sent"] == summary["received"] > 10_000, summary
    assert not (new["refused"] or new["reset"] or new["wrong"] or new["late"]), new
    return (f"{summary['received']} answers to 100 conversations, none lost or ended, the slowest after "
            f"{summary['rtt_us']['max'] / 1000:.0f} ms; {new['answered']} new clients, none refused")


@case(complains=KILLED)
def behind_haproxy_a_restart_and_a_kill_lose_nobody(host):
    _balanced(host)
    try:
        note = _through(host, BALANCED, "for i in 1 2 3; do systemctl restart echo-a.service; sleep 0.3; "
                                        "systemctl kill -s KILL echo-b.service; sleep 0.3; done")
        # The balancer did not even notice.
        told = [record["MESSAGE"] for record in host.records(after=host.begun) if " is DOWN" in str(record.get("MESSAGE"))]
        assert not told, told
    finally:
        _end(host)
    return note


@case(complains="echo/a is DOWN")
def behind_haproxy_an_instance_that_goes_away_takes_its_own_conversations_only(host):
    _balanced(host)
    try:
        client = _pings(host, BALANCED, "--connections 100 --rate 1000 --timeout 5s --duration 6s")
        host.until("both are talked to", lambda: sum(_conversations(host, name) for name in INSTANCES) >= 100)
        own = _conversations(host, "echo-a")
        new = host.try_("python3 -B /opt/inside/knock.py --clients 20 "
                        f"--at reply,{BALANCED} --during 'systemctl stop echo-a.socket && sleep 2'")
        new = json.loads(new.stdout.strip().splitlines()[-1])
        status, summary, ended = _came(host, client)
        assert status == 1 and 0 < len(ended) < 100 and abs(len(ended) - own) <= 2, (own, len(ended), summary)
        # Of the new ones those that were with the service, and those in the socket's queue,
        # which ends after it: a client can be both, one after the other, and nobody is afterwards.
        assert not (new["refused"] or new["late"]) and new["most"] <= 2, new
    finally:
        _end(host)
    return (f"{len(ended)} of 100 conversations ended, and {new['wrong'] + new['reset']} of "
            f"{new['answered']} new clients that were with it; {sorted(set(ended))}")


@case
def behind_haproxy_a_reset_becomes_an_end_of_file(host):
    _balanced(host)
    host.run(f"systemctl stop haproxy.service {' '.join(name + '.socket' for name in INSTANCES)}")
    server = host.start("exec python3 -B /opt/inside/half.py 9001 9002")
    try:
        host.until("it listens", lambda: "9002" in host.run("ss -Hltn"))
        host.run("systemctl start haproxy.service")
        straight, balanced = (host.json(f"say.py {address} question") for address in ("127.0.0.1:9001", BALANCED))
    finally:
        _end(host)
        host.run("pkill -f '[i]nside/half.py'")
        server.wait()
    assert straight == {"fault": "Connection reset by peer"}, straight
    assert balanced == {"heard": "half an ans"}, balanced


@case(complains=KILLED)
def on_one_port_a_restart_and_a_kill_lose_nobody(host):
    _on_one_port(host)
    return _through(host, SHARED, "for i in 1 2 3; do systemctl restart echo-a.service; sleep 0.3; "
                                  "systemctl kill -s KILL echo-b.service; sleep 0.3; done")


def _queued(host, command):
    """40 clients while one instance stands still; then the command. How many were let down."""
    for name in INSTANCES:
        host.run(f"systemctl start {name}.service && systemctl is-active -q {name}.socket")
    host.run("systemctl kill -s STOP echo-a.service")
    client = _pings(host, SHARED, "--connections 40 --count 40 --flood --timeout 20s")
    waiting = host.until("some wait in its queue and none in the other", lambda: _waiting(host))
    host.run(command)
    status, summary, _ = _came(host, client)
    assert summary["sent"] == 40 and summary["corrupted"] == 0, summary
    assert (status == 0) == (summary["lost"] == 0), (status, summary)
    return waiting, summary["lost"]


def _waiting(host):
    """How many wait in one queue, once it grows no more and nobody waits in the other."""
    first, again = ([int(line.split()[1]) for line in part.splitlines()] for part in
                    host.run(f"ss -Hltn src {SHARED}; echo =; sleep 0.3; ss -Hltn src {SHARED}").split("=\n"))
    return max(first) if first == again and sorted(first)[:-1] == [0] else 0


@case(complains=KILLED)
def on_one_port_the_queue_outlives_the_process_and_not_the_socket(host):
    _on_one_port(host)
    try:
        waited, lost = _queued(host, "systemctl kill -s KILL echo-a.service")
        assert waited > 5 and lost == 0, f"killed: {lost} lost of {waited} in the queue"
        # A process that wakes up would accept them before it leaves; this one never does.
        host.run("systemctl stop echo-a.socket")
        host.write("/etc/systemd/system/echo-a.service", "[Unit]\nRequires=%N.socket\nAfter=%N.socket\n"
                                                         "[Service]\nExecStart=/usr/bin/sleep infinity")
        host.run("systemctl daemon-reload && systemctl start echo-a.socket")
        closed, reset = _queued(host, "systemctl stop echo-a.socket")
        assert reset == closed > 5, f"socket stopped: {reset} lost of {closed} in the queue"
    finally:
        _end(host)
    return f"{waited} in the queue served after the kill, {reset} reset with their socket"
