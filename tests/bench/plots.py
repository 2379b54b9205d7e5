"""The plots of the report."""

import chart
from reading import Figures, memory_per_peer


def of_peers(reading, many, server, field, ratio=False):
    """One point for each number of peers that was measured."""
    sizes = {"1": 1, "50": 50, "100": 100, "1000": 1000, "many": many}
    for cell, peers in sizes.items():
        figures = (reading.ratios if ratio else reading.samples)(cell, server, field)
        if figures:
            yield figures.point(peers)


def scaled(points, factor):
    return [(x, *(value * factor for value in rest)) for x, *rest in points]


def as_multiples(points):
    """The points from 100 peers on, as multiples of the one there."""
    points = sorted(point for point in points if point[0] >= 100)
    return scaled(points, 1 / points[0][1]) if points and points[0][0] == 100 and points[0][1] > 0 else []


def pictures(reading, servers, many):
    three = [("floor", "C epoll"), ("echod", "echod, all on"), ("habit", "tokio textbook")]

    def series(make):
        found = [(shown, list(make(name))) for name, shown in three]
        return [(shown, points) for shown, points in found if points]

    cpu = series(lambda name: scaled(of_peers(reading, many, name, "ns"), 0.001))
    if cpu:
        yield "cpu-by-peers", chart.lines("CPU time of the server per message of 128 B", "peers", "µs", cpu,
                                          y_from_zero=True)
    ratios = [(shown, list(of_peers(reading, many, name, "ns", ratio=True))) for name, shown in three[1:]]
    ratios = [row for row in ratios if row[1]]
    if ratios:
        yield "ratio-by-peers", chart.lines("CPU time per message, as a ratio to C epoll", "peers", "ratio",
                                            [("C epoll", [(x, 1, 1, 1) for x, *_ in ratios[0][1]]), *ratios])
    for field in ("p50", "p99"):
        latency = series(lambda name: scaled(of_peers(reading, many, name, field), 0.001))
        if latency:
            yield field + "-by-peers", chart.lines(field + " of the time to an answer, closed loop", "peers", "ms",
                                                   latency, y_powers=True)
    memory = series(lambda name: [
        Figures((e["during"] - e["before"]) / 2**20 for e in reading.entries
                if e["kind"] == "memory" and e["server"] == name and e["peers"] == peers).point(peers)
        for peers in (100, 1000, many) if memory_per_peer(reading, name, peers)])
    if memory:
        yield "memory-by-peers", chart.lines("Memory of the server's process for idle peers (PSS)", "peers", "MiB",
                                             memory, x_powers=False, y_from_zero=True)
    growth = [("CPU per message", of_peers(reading, many, "echod", "ns")),
              ("PSS per idle conversation", [memory_per_peer(reading, "echod", peers).point(peers)
                                             for peers in (100, 1000, many) if memory_per_peer(reading, "echod", peers)])]
    growth = [(name, as_multiples(points)) for name, points in growth]
    if all(points for _, points in growth):
        yield "growth", chart.lines("echod: the cost at so many peers, as a multiple of that at 100", "peers",
                                    "× the cost at 100 peers", growth, y_from_zero=True)
    sizes = {"32B": 32, "50": 128, "1KiB": 1024, "16KiB": 16384}
    throughput = series(lambda name: [
        point for cell, size in sizes.items() if (figures := reading.samples(cell, name, "rate"))
        for point in scaled([figures.point(size)], size / 1e6)])
    if throughput:
        yield "throughput-by-size", chart.lines("Echoed by one core, 50 peers", "bytes of a message", "MB/s",
                                                throughput, y_powers=True)
    for cell, title in (("", "CPU per message, 50 peers"), ("churn-", "CPU per connect, message, close")):
        rows = [(servers[name].shown, figures.median) for name in servers if servers[name].forks
                and (figures := reading.ratios("debian-" + cell + name, name, "ns"))]
        own = reading.ratios("50", "echod", "ns") if not cell else reading.ratios("churn", "echod-store", "ns")
        if rows and own:
            rows = [("C epoll", 1.0), ("echod", own.median), *sorted(rows, key=lambda row: row[1])]
            yield "debian-" + (cell + "cpu"), chart.bars(title + ", as a multiple of C epoll", "× C epoll", rows)
