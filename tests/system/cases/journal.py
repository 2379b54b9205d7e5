"""What the journal holds, and how it explains it."""

import re

from cases.sockets import hears
from suite import SOCKETS, case

# Of a conversation's last record, for "hello" said to echo.socket over IPv4.
FIELDS = {
    "SYSLOG_IDENTIFIER": "echod", "PRIORITY": "6", "ECHO_TRANSPORT": "tcp", "ECHO_PROTOCOL": "reply",
    "ECHO_LOCAL": "127.0.0.1:8080", "ECHO_PEER_ADDRESS": "127.0.0.1", "ECHO_BYTES_RECEIVED": "5",
    "ECHO_BYTES_SENT": "12", "ECHO_MESSAGES": "1", "ECHO_ENDING": "end-of-file",
}


def _talk(host):
    host.run(f"systemctl start {' '.join(SOCKETS)}")
    for unit in SOCKETS:
        hears(host, unit)


def _ended(host, *matches):
    return [record for record in host.records(*matches) if "ECHO_ENDING" in record]


@case
def a_conversation_leaves_its_fields(host):
    _talk(host)
    found = host.until("a conversation's last record", lambda: _ended(host, "-u echo", "ECHO_PEER_ADDRESS=127.0.0.1"))
    record = found[-1]
    wrong = {key: record.get(key) for key, value in FIELDS.items() if record.get(key) != value}
    assert not wrong, f"{wrong} in {record}"
    assert int(record["ECHO_CONVERSATION"]) > 0 and int(record["ECHO_DURATION_USEC"]) >= 0
    assert record["ECHO_PEER"] == f"127.0.0.1:{record['ECHO_PEER_PORT']}", record


@case
def a_peer_is_found_by_its_address(host):
    _talk(host)
    for address in ("127.0.0.1", "::1"):
        host.until(f"records of {address}", lambda address=address: _ended(host, f"ECHO_PEER_ADDRESS={address}"))
        for record in host.records(f"ECHO_PEER_ADDRESS={address}"):
            assert record["ECHO_PEER_ADDRESS"] == address


@case
def the_unit_finds_its_own_records_only(host):
    _talk(host)
    for unit, protocol in (("echo", "reply"), ("echo-rfc862", "rfc862")):
        host.until(f"records of {unit}", lambda unit=unit: _ended(host, f"-u {unit}"))
        assert {record["ECHO_PROTOCOL"] for record in _ended(host, f"-u {unit}")} == {protocol}


def _explained(host, locale):
    _talk(host)
    host.run(f"systemctl restart echo.service && systemctl stop {' '.join(SOCKETS)}")
    host.run("journalctl --sync")
    out = host.run(f"LANG={locale} LC_ALL={locale} journalctl -x -u echo --no-pager -t echod")
    told = [line for line in out.splitlines() if line.startswith("░░")]
    assert any("echod" in line for line in told), out
    return told


@case
def records_are_explained_in_english(host):
    told = _explained(host, "C.UTF-8")
    assert any(line.startswith("░░ Subject: ") for line in told)
    return next(line for line in told if "Subject: " in line)[3:]


@case
def records_are_explained_in_chinese(host):
    told = _explained(host, "zh_CN.UTF-8")
    assert any(re.search("[一-鿿]", line) for line in told), told
    return next(line for line in told if re.search("[一-鿿]", line))[3:]


@case
def every_entry_is_in_the_catalogue_of_the_system(host):
    files = host.run("dpkg -L echod | grep '[.]catalog$'").split()
    known = host.run("journalctl --list-catalog --no-pager")
    wanted = set(re.findall("^-- ([0-9a-f]{32})", host.run(f"cat {' '.join(files)}"), re.MULTILINE))
    assert wanted and all(entry in known for entry in wanted), f"of {wanted}:\n{known}"
    return f"{len(wanted)} entries"
