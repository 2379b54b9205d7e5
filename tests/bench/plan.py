"""What is measured: servers, and cells in which they are set side by side."""

import dataclasses
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "target/bench"
ECHOD = ROOT / "target/release/echod"
LOAD = str(BUILD / "load")
SUFFIX = "-回传"
# What the median may be at that bar, if the spread reaches the bar itself.
TOLERATED = {1.03: 1.05}

# All limits and timeouts on, none so tight that it would refuse the load.
LIMITS = ["--idle-timeout=1h", "--lifetime-max=1d", "--connections-per-source-max=20000",
          "--datagram-rate=1000000/s"]


@dataclasses.dataclass(frozen=True)
class Server:
    """One program as it is started; `shown` is its name in the report."""
    name: str
    shown: str
    command: tuple
    store: bool = False
    journal: bool = False
    forks: bool = False
    # Where it listens if it does so itself; else it inherits the listener.
    binds: str = ""

    @property
    def notifies(self):
        return self.store


def echod(name, shown, protocol, *options, store=True, journal=True):
    command = (str(ECHOD), "--protocol=" + protocol, *options)
    return Server(name, shown, command, store=store, journal=journal)


FLOOR = str(BUILD / "floor")
HABIT = str(BUILD / "habit/release/habit")
OWN = [
    Server("floor", "C epoll", (FLOOR, "stream")),
    Server("floor-reply", "C epoll, with suffix", (FLOOR, "stream", SUFFIX)),
    Server("floor-line", "C epoll, suffix before the newline", (FLOOR, "line", SUFFIX)),
    Server("floor-udp", "C epoll, recvmsg/sendmsg, pktinfo", (FLOOR, "datagram")),
    Server("floor-batch", "C epoll, recvmmsg/sendmmsg of 16, pktinfo", (FLOOR, "batch")),
    Server("habit", "tokio textbook, one thread", (HABIT, "one")),
    Server("habit-many", "tokio textbook, default runtime", (HABIT, "many")),
    echod("echod", "echod rfc862, all on", "rfc862", *LIMITS),
    echod("echod-store", "echod rfc862, as packaged", "rfc862"),
    echod("echod-bare", "echod rfc862, no store, no records", "rfc862", "--log-level=error",
          store=False, journal=False),
    echod("echod-reply", "echod reply, all on", "reply", *LIMITS),
    echod("echod-line", "echod line, all on", "line", *LIMITS),
]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One load, and who bears it beside the base. `bar` is the most that the
    first one's ratio may be."""
    name: str
    shown: str
    work: str
    others: tuple
    base: str = "floor"
    socket: str = "tcp"
    peers: int = 50
    size: int = 128
    options: tuple = ()
    rounds: int = 5
    bars: tuple = ()
    p99_bar: float = 0
    per: str = "message"

    def arguments(self):
        return [self.work, "--peers", str(self.peers), "--size", str(self.size), *self.options]


BAR = 20
REPLY = ("--suffix", SUFFIX)
# What the descriptor limit leaves of 10,000 is filled in by `run`.
MANY = 10000
CELLS = [
    Cell("50", "50 peers, 128 B", "echo", ("echod", "habit"), rounds=BAR, bars=(1.03,), p99_bar=1.1),
    Cell("1000", "1,000 peers, 128 B", "echo", ("echod", "habit", "habit-many"), peers=1000, rounds=BAR,
         bars=(1.03,), p99_bar=1.1),
    Cell("many", "{many} peers, 128 B", "echo", ("echod", "habit"), peers=MANY, rounds=BAR, bars=(1.03,),
         p99_bar=1.1, options=("--warm", "0.5")),
    Cell("churn", "connect, message, close; 50 at once", "churn", ("echod-store", "echod-bare", "habit"),
         rounds=BAR, bars=(1.15, 1.05), per="connection"),
    Cell("reply", "reply, 50 peers, 128 B", "echo", ("echod-reply",), base="floor-reply", options=REPLY,
         rounds=BAR, bars=(1.05,)),
    Cell("bulk-1", "bulk, 1 stream", "bulk", ("echod", "habit"), peers=1, rounds=BAR, bars=(1.0,), per="KiB"),
    Cell("bulk-10", "bulk, 10 streams", "bulk", ("echod", "habit"), peers=10, rounds=BAR, bars=(1.0,), per="KiB"),
    Cell("udp-50", "UDP, 50 peers, 64 B", "datagram", ("echod", "floor-batch"), base="floor-udp", socket="udp",
         size=64, rounds=BAR, bars=(0.85,)),
    Cell("udp-1", "UDP, 1 peer, 64 B", "datagram", ("echod", "floor-batch"), base="floor-udp", socket="udp",
         size=64, peers=1, rounds=BAR, bars=(1.10,)),
    Cell("store", "with the store, against without, 50 peers", "echo", ("echod-store",), base="echod-bare",
         rounds=BAR),
    Cell("1", "1 peer, 128 B", "echo", ("echod", "habit"), peers=1),
    Cell("100", "100 peers, 128 B", "echo", ("echod",), peers=100),
    Cell("32B", "50 peers, 32 B", "echo", ("echod", "habit"), size=32),
    Cell("1KiB", "50 peers, 1 KiB", "echo", ("echod", "habit"), size=1024),
    Cell("16KiB", "50 peers, 16 KiB", "echo", ("echod", "habit"), size=16384),
    Cell("line", "line, 50 peers, 128 B", "echo", ("echod-line",), base="floor-line", options=("--line", *REPLY)),
    Cell("unix", "Unix stream, 50 peers, 128 B", "echo", ("echod",), socket="unix"),
    Cell("udp-1400", "UDP, 50 peers, 1,400 B", "datagram", ("echod",), base="floor-udp", socket="udp", size=1400),
]
