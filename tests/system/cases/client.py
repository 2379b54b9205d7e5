"""echo-ping as it is installed: at a terminal, in a timer and as a check for monitoring."""

import json
import re
import shlex

from cases.examples import EXAMPLES, tells
from suite import KILLED, SOCKETS, case

TIMER = "/etc/systemd/system/echo-ping.timer.d/now.conf"

# One datum of performance data: label=value[unit];[warning];[critical];[minimum];[maximum]
DATUM = re.compile(r"[a-z0-9_]+=[0-9.]+(s|%)?(;[0-9.]*){0,4}")


def _pings(host, words):
    """The status, and the counts of what was sent, received, lost, doubled, reordered and corrupted."""
    done = host.try_(f"echo-ping --json --quiet {words}")
    summary = json.loads(done.stdout.splitlines()[-1])
    return done.returncode, [summary[key] for key in
                             ("sent", "received", "lost", "duplicated", "reordered", "corrupted")]


def _all_back(host, words, count):
    came = _pings(host, f"{words} --count {count}")
    assert came == (0, [count, count, 0, 0, 0, 0]), f"{words}: {came}"


@case
def every_socket_is_proved_over_tcp_udp_and_unix(host):
    host.write("/etc/systemd/system/echo.socket.d/unix.conf",
               "[Socket]\nListenStream=/run/echo-test.sock\nListenStream=@echo-test\nRemoveOnStop=yes")
    host.run(f"systemctl daemon-reload && systemctl start {' '.join(SOCKETS)}")
    for target in ("127.0.0.1:7", "[::1]:7", "tcp:localhost:7", "7", "udp:127.0.0.1:7", "udp:[::1]:7"):
        _all_back(host, f"--interval 10ms {target}", 5)
    for target in ("127.0.0.1:8080", "[::1]:8080", "unix:/run/echo-test.sock", "unix:@echo-test"):
        _all_back(host, f"--interval 10ms --protocol reply {target}", 5)
    for target in ("--size 1M 127.0.0.1:7", "--size 1M --protocol reply unix:@echo-test", "--size 65507 udp:127.0.0.1:7"):
        _all_back(host, f"--flood {target}", 5)
    _all_back(host, "--flood --half-close --connections 20 127.0.0.1:7", 20)


@case
def the_exit_status_says_what_happened(host):
    host.run(f"systemctl start {' '.join(SOCKETS)}")
    assert _pings(host, "--count 2 --interval 10ms 127.0.0.1:7") == (0, [2, 2, 0, 0, 0, 0])
    # More datagrams than echod answers to one source.
    flood = "--rate 10000 --count 4000 --timeout 500ms udp:127.0.0.1:7"
    status, (sent, received, lost, *other) = _pings(host, flood)
    assert (status, sent, other) == (1, 4000, [0, 0, 0]) and 0 < received < 4000 and received + lost == sent
    assert _pings(host, f"--loss-max 100% {flood}")[0] == 0
    # A suffix where there should be none.
    assert _pings(host, "--count 1 127.0.0.1:8080") == (2, [1, 1, 0, 0, 0, 1])
    host.run(f"systemctl stop {' '.join(SOCKETS)}")
    for target, status in (("127.0.0.1:8080", 3), ("unix:@nobody", 3), ("udp:127.0.0.1:7", 1)):
        assert _pings(host, f"--count 1 --timeout 500ms {target}")[0] == status, target
    for words in ("", "nonsense", "--size 0 127.0.0.1:7", "--no-such-option 7"):
        done = host.try_(f"echo-ping {words}")
        assert done.returncode == 64 and done.stdout.startswith("echo-ping: "), f"{words}: {done}"
    return f"{lost} of 4000 datagrams over the limit"


@case(complains=KILLED)
def nothing_is_lost_through_restarts_and_a_kill(host):
    host.run("systemctl start echo.socket")
    client = host.start("echo-ping --json --quiet --protocol reply --connections 20 --rate 1000 -w 4s 127.0.0.1:8080")
    host.until("it is served", lambda: host.show("echo.service", "MainPID") != "0")
    host.run("systemctl restart echo.service && systemctl kill -s KILL echo.service")
    host.until("it is back", lambda: host.show("echo.service", "ActiveState") == "active")
    host.run("systemctl restart echo.service")
    out, _ = client.communicate(timeout=60)
    summary = json.loads(out.splitlines()[-1])
    assert client.returncode == 0 and summary["sent"] == summary["received"] > 1000, out
    return f"{summary['received']} answers, the slowest after {summary['rtt_us']['max'] / 1000:.0f} ms"


@case
def the_manual_page_and_the_completions_are_its_own(host):
    assert "ECHO-PING(1)" in host.run("man -P cat 1 echo-ping")
    completed = host.run("bash -c '. /usr/share/bash-completion/completions/echo-ping; COMP_WORDS=(echo-ping --half); "
                         "COMP_CWORD=1; _echo__ping echo-ping --half echo-ping; echo \"${COMPREPLY[@]}\"'")
    assert completed.strip() == "--half-close", completed
    host.run("test -s /usr/share/zsh/vendor-completions/_echo-ping")
    host.run("test -s /usr/share/fish/vendor_completions.d/echo-ping.fish")


@case(complains="echo-ping|Check of the echo server", degraded=True)
def the_timer_starts_a_check_whose_result_is_in_the_journal(host):
    host.run("systemctl start echo.socket")
    # At once, and not only at the next minute.
    host.write(TIMER, "[Timer]\nOnActiveSec=1ms\nRandomizedDelaySec=0")
    try:
        host.run(f"bash -c {shlex.quote(tells(host, 'echo-ping.service'))}")
        assert host.run("systemd-analyze verify echo-ping.service echo-ping.timer 2>&1").strip() == ""
        assert host.try_("systemctl is-enabled echo-ping.timer").stdout.strip() == "enabled"
        told = host.until("the check has run", lambda: _results(host))
        assert told[0].startswith("ECHO OK: 5 sent, 5 received, 0 lost"), told
        host.until("it is over", lambda: host.show("echo-ping.service", "ActiveState") == "inactive")
        assert host.show("echo-ping.service", "Result") == "success"
        assert host.show("echo-ping.timer", "NextElapseUSecRealtime"), "it will not run again"
        # Nobody answers: it fails, and is seen.
        host.run("systemctl stop echo.socket")
        assert host.try_("systemctl start echo-ping.service").returncode != 0
        assert host.show("echo-ping.service", "ExecMainStatus") == "3"
        assert "echo-ping.service" in host.run("systemctl --failed --plain --no-legend")
        assert _results(host)[-1].startswith("ECHO UNKNOWN: "), _results(host)
    finally:
        host.run("systemctl disable --now echo-ping.timer; systemctl reset-failed; true")
    return told[0].split(" | ")[0]


def _results(host):
    # Chosen here: 252 loses the first record after a cursor that does not match.
    records = [record for record in host.records(after=host.begun) if record.get("_SYSTEMD_UNIT") == "echo-ping.service"]
    return [record["MESSAGE"] for record in records if record["MESSAGE"].startswith("ECHO ")]


def _commands(host):
    """The command lines of the monitoring example, by name, and what the service asks for."""
    text = host.run(f"cat {EXAMPLES}/echo-ping.cfg")
    names = re.findall(r"^\s+command_name\s+(\S+)", text, re.M)
    lines = re.findall(r"^\s+command_line\s+(.+)$", text, re.M)
    asked = re.search(r"^\s+check_command\s+(.+)$", text, re.M)[1].split("!")
    assert len(names) == len(lines) == 2 and asked[0] in names, text
    return dict(zip(names, lines)), asked


def _checked(host, line, address, arguments):
    """Runs a command line as a monitoring daemon would: its macros filled in, by a shell."""
    for number, argument in enumerate(arguments, 1):
        line = line.replace(f"$ARG{number}$", argument)
    line = line.replace("$HOSTADDRESS$", address)
    assert "$" not in line, line
    done = host.try_(line)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout
    text, data = lines[0].split(" | ")
    for datum in data.split():
        assert DATUM.fullmatch(datum), datum
    return done.returncode, text


@case
def the_check_does_what_a_monitoring_daemon_expects(host):
    host.run("systemctl start echo-rfc862.socket")
    commands, (_, *arguments) = _commands(host)
    for name, line in commands.items():
        status, text = _checked(host, line, "127.0.0.1", arguments)
        assert (status, text.split(":")[0]) == (0, "ECHO OK"), f"{name}: {status} {text}"
    host.run("systemctl stop echo-rfc862.socket")
    for (name, line), wanted in zip(commands.items(), [(3, "ECHO UNKNOWN"), (1, "ECHO WARNING")]):
        status, text = _checked(host, line, "127.0.0.1", arguments)
        assert (status, text.split(":")[0]) == wanted, f"{name}: {status} {text}"
    host.run("systemctl start echo.socket")
    status, text = _checked(host, commands["check_echo"], "127.0.0.1", ["8080", "0%"])
    assert (status, text.split(":")[0]) == (2, "ECHO CRITICAL"), text
