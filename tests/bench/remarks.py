"""What the figures say of larger machines, and how far they can be trusted."""

import statistics

import measure
import plan
from markdown import table
from reading import Figures, memory_per_peer


def growth(reading, many):
    """How cost grows with the crowd, and what follows for larger machines."""
    rows = []
    for cell, peers in (("100", 100), ("1000", 1000), ("many", many)):
        ns, per = reading.samples(cell, "echod", "ns"), memory_per_peer(reading, "echod", peers)
        if ns and per:
            rows.append(("{:,}".format(peers), "%.2f" % (ns.median / 1000),
                         "{:,.0f}".format(1e9 / ns.median), "{:,.0f}".format(per.median)))
    if not rows:
        return []
    both = reading.of("instances", "rate", count=1), reading.of("instances", "rate", count=2)
    measured = []
    if all(both):
        measured = table(("instances on one port", "messages per second", "µs of CPU per message", "p99 ms"),
                         [(count, rate.show("%.0f"),
                           scaled_show(reading.of("instances", "ns", count=count), 0.001),
                           scaled_show(reading.of("instances", "p99", count=count), 0.001))
                          for count, rate in enumerate(both, 1)])
        measured += ["The second instance shares its core with the load, so this only shows that the port is shared "
                     "and what a message costs then; that the sum does not double is the load's doing.", ""]
    return ["## How cost grows", "",
            *table(("peers", "µs of CPU per message", "messages per CPU second", "B of PSS per idle conversation"), rows),
            "A conversation costs what it costs, whatever the others do: the growth from the first row to the last is "
            "the processor's caches, and the C loop has it too (see the ratios). One thread serves, so one instance "
            "uses one core; the second core of this machine was the load's. A machine with more cores runs more "
            "instances on one port (`ReusePort=`), which share nothing but the kernel, so their sum is calculated as "
            "instances × messages per CPU second, as long as the kernel's network stack and the peers have the other "
            "half of the cores: for the loopback, sending and receiving cost about the same on either side. The kernel "
            "spreads connections over the instances by a hash, so none gets exactly its share.", "",
            *calculated(reading), *measured]


def calculated(reading):
    """What larger machines would serve, at the cost that was measured at 1,000 peers."""
    ns = reading.samples("1000", "echod", "ns")
    if not ns:
        return []
    return table(("cores, half of them for echod", "instances", "messages per second, calculated"),
                 [(cores, cores // 2, "{:,.0f}".format(cores // 2 * 1e9 / ns.median)) for cores in (2, 4, 8, 16, 64)])


def bulk(reading):
    """What a ratio of single rounds in bulk is worth."""
    rows = []
    for cell in (cell for cell in plan.CELLS if cell.per == "KiB"):
        ratios = reading.base_against_itself(cell.name).values
        base = [s for chain in reading.chains(cell.name) for s in chain[::2] if measure.is_clean(s)]
        if len(ratios) > 1:
            cost = statistics.quantiles((s["ns"] / 1000 for s in base), n=10)
            follows = statistics.correlation([s["ns"] for s in base], [s["rate"] for s in base])
            rows.append((cell.shown, "%.2f–%.2f" % (cost[0], cost[-1]), "%d of %d" % (sum(r <= 0.75 for r in ratios), len(ratios)),
                         "%.2f" % follows))
    if not rows:
        return []
    return ["## Bulk", "",
            "In bulk one and the same program costs now this and now that, by how it falls into step with the load: "
            "the faster the bytes go, the less each of them costs. Single measurements have shown a server at 0.7 of the C loop; "
            "so does the C loop beside itself, as often as the table says. A median near 1 is no difference that "
            "this machine can show.", "",
            *table(("load", "C epoll, µs for a KiB (middle 80 %)", "rounds at ≤ 0.75 of the one before", "correlation of cost and rate"), rows)]


def scaled_show(figures, factor):
    return Figures(value * factor for value in figures.values).show("%.2f")
