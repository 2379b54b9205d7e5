"""The README's walk on a Debian that nobody has prepared: from installing to removing.

Its `shell-session` blocks are typed here, in their order, and nothing else is: lines
after `#` by root, lines after `$` by nobody in particular. What the README shows must
come, what it says must be true, and the transcript says how long each line took.
"""

import dataclasses
import re
import shlex
import time

from cases.removal import files, gone
from cases.removal import prepare as remember
from cases.sockets import listening
from package import TREE
from root import FRESH
from suite import KILLED, UNITS, built_deb, case

ROOT = FRESH

# Where the reader's clone is, with the package that packaging/build-deb made.
CLONE = "/opt/echod"
# Another machine, at the other end of a wire.
HERE, THERE = "192.0.2.1", "192.0.2.2"
NEIGHBOUR = "nsenter --net=/run/neighbour"
# Beside what is said of a kill, what systemd says of a socket that was given other
# addresses and has not been restarted yet.
SAID = f"{KILLED}|not functional until restarted"


def prepare(host):
    """A clone with its package, and a neighbour; what is there must be there at the end."""
    host.bring(built_deb(host), f"{CLONE}/target/deb/{built_deb(host).name}")
    host.run("touch /run/neighbour && unshare --net=/run/neighbour true && ip link add wire type veth peer far && "
             f"ip link set far netns /run/neighbour && ip address add {HERE}/24 dev wire && ip link set wire up && "
             f"{NEIGHBOUR} ip address add {THERE}/24 dev far && {NEIGHBOUR} ip link set far up")
    remember(host)


# Ports that the kernel chose, times, whether the kill met an answer, and what depends on
# the limits of the machine.
VARYING = {
    r", 1 in mid-answer": "",
    r"( with \S+):\d+ ": r"\1:PORT ",
    r"\d+\.\d{3} s\b": "TIME",
    r"at most [\d,]+ conversations( instead of .*)?": "at most SO MANY",
}
# What dpkg would write over again on a terminal.
PROGRESS = re.compile(r"\(Reading database \.\.\.( \d+%)?\s*$")


@dataclasses.dataclass
class Line:
    """What somebody types, and what the README shows of what it prints."""

    prompt: str
    command: str
    shown: list

    def shell(self):
        """How it is typed: whoever is asked says yes."""
        who = [] if self.prompt == "#" else ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        typed = shlex.join([*who, "bash", "-o", "pipefail", "-c", self.command.removesuffix(" &")])
        return f"cd {CLONE} && yes | {typed}"


def blocks(text):
    """The README's scenes on an installed system."""
    for scene in re.findall(r"^```shell-session\n(.*?)^```", text, re.M | re.S):
        block = []
        for line in scene.splitlines():
            if line[:2] in ("# ", "$ "):
                block.append(Line(line[0], line[2:], []))
            else:
                block[-1].shown.append(line)
        yield block


def lasting(lines):
    """What is the same each time and on each machine."""
    text = "\n".join(" ".join(line.split()) for line in lines)
    for varying, instead in VARYING.items():
        text = re.sub(varying, instead, text)
    return text.splitlines()


class Walk:
    """Somebody at a terminal, who has a second one."""

    def __init__(self, host):
        self.host, self.typed = host, []
        # What goes on in the other terminal, and since when.
        self.other = None

    def block(self, block):
        """Types one block."""
        behind, other = None, self.other
        for line in block:
            began = time.monotonic()
            if line.shown[-1:] == ["^C"]:
                self.other = line, began, self.host.start(f"echo $$ >/run/other; exec {line.command} >/run/heard")
                continue
            if line.command.endswith(" &"):
                behind = line, began, self.host.start(line.shell())
                self.host.until("somebody talks", lambda: self.host.run("ss -Htn state established dport = 8080"))
                continue
            done = self.host.try_(line.shell())
            if behind and line is block[-1]:
                # It is the one behind that prints last.
                behind[0].shown, line.shown = line.shown, []
            self._came(line, began, done.stdout, done.returncode)
        if behind:
            line, began, child = behind
            said, _ = child.communicate(timeout=60)
            self._came(line, began, said, child.returncode)
        if other:
            self._interrupt(*other)

    def _interrupt(self, line, began, child):
        """Presses Ctrl-C in the other terminal, once it shows what the README shows."""
        self.other = None
        owed = line.shown[:-1]
        self.host.until("the other terminal shows it",
                        lambda: len(self.host.run("cat /run/heard").splitlines()) >= len(owed))
        self.host.run("kill -INT $(cat /run/other)")
        child.communicate(timeout=10)
        self._came(line, began, self.host.run("cat /run/heard") + "^C\n")

    def _came(self, line, began, said, status=0):
        took = time.monotonic() - began
        lines = [text for text in said.splitlines() if not PROGRESS.match(text)]
        print(f"      {took:6.2f} s  {line.prompt} {line.command}", *lines, sep="\n                ", flush=True)
        assert status == 0, f"{line.command}: exit {status}"
        if line.shown:
            assert lasting(said.splitlines()) == lasting(line.shown), f"the README shows {line.shown}"
        self.typed.append(line.command)
        for words, check in TRUE.items():
            if words in line.command:
                check(self.host)


def _from_the_neighbour(host):
    """What the neighbour's client says of our port."""
    return host.try_(f"{NEIGHBOUR} echo-ping -q --protocol reply --count 3 --interval 10ms {HERE}:8080").stdout


def _sleeps(host):
    assert listening(host) == [], listening(host)
    for unit in UNITS:
        assert host.try_(f"systemctl is-enabled {unit}; systemctl is-active {unit}").stdout == "disabled\ninactive\n", unit


def _for_this_machine(host):
    assert host.try_("systemctl is-enabled echo.socket").stdout == "enabled\n"
    assert listening(host) == ["8080"]
    assert "refused" in _from_the_neighbour(host), _from_the_neighbour(host)


def _went_on(host):
    told = [record["MESSAGE"] for record in host.records("-t echod", after=host.begun)]
    assert sum("1 conversation continued" in text for text in told) == 2, told
    assert sum(" began" in text for text in told) == 2, told


def _for_everybody(host):
    said = _from_the_neighbour(host)
    assert "3 sent, 3 received" in said, said


def _not_of_a_package(host, found):
    """Those of the files found that belong to no installed package."""
    owned = {path.removeprefix("/usr") for path in host.run("cat /var/lib/dpkg/info/*.list").splitlines()}
    owned |= {path.removeprefix("/usr") for path in host.run("find / -xdev -lname '/etc/alternatives/*'").splitlines()}
    paths = {line[line.index("/"):] for line in found}
    return {path for path in paths if path.removeprefix("/usr") not in owned and "/etc/alternatives/" not in path}


def _no_trace(host):
    gone(host)
    left = _not_of_a_package(host, files(host) - host.before[0])
    assert not left, f"left behind: {sorted(left)}"
    users = host.run("getent passwd; getent group; cat /etc/passwd /etc/group")
    assert users == host.before[1], users


# What must be true behind a command with these words.
TRUE = {
    "apt install": _sleeps,
    "enable --now": _for_this_machine,
    "echo-ping": _went_on,
    "restart echo.socket": _for_everybody,
    "apt purge": _no_trace,
}


@case(complains=SAID)
def the_readme_says_all_that_is_needed(host):
    walk, began = Walk(host), time.monotonic()
    for block in blocks((TREE / "README.md").read_text()):
        walk.block(block)
    typed = "\n".join(walk.typed)
    assert all(words in typed for words in TRUE), f"the README lacks a step: {typed}"
    return f"{len(walk.typed)} commands in {time.monotonic() - began:.1f} s"
