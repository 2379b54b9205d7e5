"""The report: what was measured, as tables and pictures."""

import pathlib
import platform
import shutil
import subprocess
import time

import measure
import plan
import plots
import remarks
import unit
from markdown import table, wrapped
from reading import Figures, Reading, memory_per_peer

PAGE = plan.ROOT / "packaging/doc/performance.md"


def verdict(figures, bar):
    if figures.median <= bar:
        return "met"
    is_near = figures.quartiles[0] <= bar and figures.median <= plan.TOLERATED.get(bar, bar)
    return "within its spread" if is_near else "**missed**"


def shown_of(cell, many):
    return cell.shown.replace("{many}", "{:,}".format(many))


def bar_rows(reading, servers, many):
    for cell in plan.CELLS:
        for name, bar in zip(cell.others, cell.bars):
            if figures := reading.ratios(cell.name, name, "ns"):
                yield (shown_of(cell, many), servers[name].shown, "CPU per " + cell.per, "≤ %.2f" % bar,
                       figures.show(), verdict(figures, bar))
        if cell.p99_bar and (figures := reading.ratios(cell.name, cell.others[0], "p99")):
            yield (shown_of(cell, many), servers[cell.others[0]].shown, "p99", "≤ %.2f" % cell.p99_bar,
                   figures.show("%.2f"), verdict(figures, cell.p99_bar))


def single_bar_rows(reading, many, stripped):
    per = memory_per_peer(reading, "echod", many)
    if per:
        yield ("{:,} idle peers".format(many), "echod, all on", "PSS per conversation", "≤ 1,024 B",
               per.show("%.0f"), "met" if per.median <= 1024 else "**missed**")
        back = Figures((e["after"] - e["before"]) / 2**20 for e in reading.entries
                       if e["kind"] == "memory" and e["server"] == "echod" and e["peers"] == many)
        yield ("{:,} peers have gone".format(many), "echod, all on", "PSS above the start, MiB", "≤ 2.0",
               back.show("%.2f"), "met" if back.median <= 2 else "**missed**")
    start = reading.of("start", "ms", server="echod")
    if start:
        yield ("exec to first answer, listener inherited", "echod, all on", "ms", "≤ 5.0", start.show("%.2f"),
               "met" if start.median <= 5 else "**missed**")
    if stripped:
        yield ("binary, stripped", "echod", "bytes", "≤ 1,500,000", "{:,}".format(stripped),
               "met" if stripped <= 1500000 else "**missed**")


def cell_rows(reading, servers, many):
    for cell in plan.CELLS:
        if not reading.chains(cell.name):
            continue
        for name in (cell.base, *cell.others):
            ns, rate = reading.samples(cell.name, name, "ns"), reading.samples(cell.name, name, "rate")
            if not ns:
                continue
            p50, p99 = reading.samples(cell.name, name, "p50"), reading.samples(cell.name, name, "p99")
            ratio = reading.ratios(cell.name, name, "ns") if name != cell.base else reading.base_against_itself(cell.name)
            latency = ["%.2f / %.2f" % (p50.median / 1000, p99.median / 1000)] if p50.median else ["–"]
            load = reading.samples(cell.name, name, "load").median
            busy = reading.samples(cell.name, name, "busy").median
            yield (shown_of(cell, many), servers[name].shown, ratio.show() if ratio else "–",
                   "%.2f" % (ns.median / 1000), "{:,.0f}".format(rate.median), *latency,
                   "%.0f %% / %.0f %%%s" % (100 * busy, 100 * load, limit(busy, load)))


def limit(busy, load):
    return " ← load" if load > measure.LIMIT and load > busy else ""


def debian_rows(reading, servers):
    def missing(cell):
        return "no answers" if any(e["kind"] == "failure" and e["cell"] == cell for e in reading.entries) else "–"

    names = [name for name in servers if servers[name].forks]
    for name in names:
        message = reading.ratios("debian-" + name, name, "ns")
        connection = reading.ratios("debian-churn-" + name, name, "ns")
        p99 = reading.samples("debian-" + name, name, "p99")
        memory = memory_per_peer(reading, name, 200)
        if message or connection or memory:
            yield (servers[name].shown, message.show("%.1f") if message else missing("debian-" + name),
                   "%.1f" % (p99.median / 1000) if p99 else "–",
                   connection.show("%.1f") if connection else missing("debian-churn-" + name),
                   "{:,.0f}".format(memory.median / 1024) if memory else "–")


def is_worth_a_profile(reading, cell):
    """The first bar's always is, and any that is missed so far."""
    ratios = [(reading.ratios(cell.name, name, "ns"), bar) for name, bar in zip(cell.others, cell.bars)]
    return cell.name == plan.CELLS[0].name or any(it and it.median > bar for it, bar in ratios)


def profiles(reading, servers, many):
    """Where the time goes: of the first bar, and of each that is missed."""
    found = [e for e in reading.entries if e["kind"] == "profile"]
    if not found:
        return []
    out = ["## Where the time goes", "",
           "System calls of the whole process per answer, or per connection that was closed (strace, which slows the "
           "server and so favours batches), and the functions with more than 1 % of its CPU time (perf; `[k]` is the "
           "kernel): for the first bar, and for those that were missed at some time.", ""]
    for cell in plan.CELLS:
        some = [e for e in found if e["cell"] == cell.name]
        names = sorted({call for e in some for call in e["calls"]},
                       key=lambda call: (-max(e["calls"].get(call, 0) for e in some), call))
        if some:
            out += ["### " + shown_of(cell, many), ""]
        if names:
            out += table(("calls", *(servers[e["server"]].shown for e in some)),
                         [(call, *("%.2f" % e["calls"].get(call, 0) for e in some)) for call in names])
        for e in some:
            if e["shares"]:
                out += [servers[e["server"]].shown + ":", "", "```text", *e["shares"], "```", ""]
    return out


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown")
    congestion = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return "%s, kernel %s, %s" % (model, platform.release(), congestion)


def commit():
    said = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=plan.ROOT, capture_output=True, text=True)
    return said.stdout.strip() or "this source"


def commits(reading):
    """Of which the measurements are."""
    settings = [e["commit"] for e in reading.entries if e["kind"] == "setting"]
    return ", ".join(sorted(set(settings), key=settings.index)) or commit()


def stripped_size():
    where = plan.BUILD / "stripped"
    if not shutil.which("strip") or not plan.ECHOD.exists():
        return 0
    subprocess.run(["strip", "-o", where, plan.ECHOD], check=True)
    return where.stat().st_size


def sandbox(reading):
    settings = [e for e in reading.entries if e["kind"] == "setting"]
    if not settings or not all(e["sandbox"] for e in settings):
        return "Nothing here, or not all of it, ran in a sandbox."
    return ("Sandbox: " + unit.SHOWN + ". Debian's programs run as they come, and the time from exec to the first "
            "answer is taken outside, since a service manager has made the sandbox before it.")


def write_page():
    """The last report as the package's page, with its plots beside it; its path."""
    folder = PAGE.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    text = (plan.BUILD / "report.md").read_text()
    for old in folder.glob("*.svg"):
        old.unlink()
    for svg in sorted(plan.BUILD.glob("*.svg")):
        if "(%s)" % svg.name in text:
            (folder / svg.name).write_text(svg.read_text())
            text = text.replace("(%s)" % svg.name, "(%s/%s)" % (folder.name, svg.name))
    PAGE.write_text(text)
    return PAGE


def write(book, servers, many):
    reading = Reading(book)
    chains = [e for e in book.entries if e["kind"] == "chain"]
    samples = [s for e in chains for s in e["samples"]]
    dirty = sum(not measure.is_clean(s) for s in samples)
    drawn = []
    for name, svg in plots.pictures(reading, servers, many):
        path = plan.BUILD / (name + ".svg")
        path.write_text(svg)
        if shutil.which("rsvg-convert"):
            subprocess.run(["rsvg-convert", "-o", path.with_suffix(".png"), path], check=False)
        drawn.append("![%s](%s.svg)" % (name, name))
    out = [
        "# What an echo costs", "",
        "CPU time of the server, by the kernel's accounting, as a ratio to a bare epoll loop in C that was sampled "
        "within seconds before and after; medians, with the middle half of the samples and their number in brackets. "
        "The server has one core, the load the other; every byte that comes back is compared. Absolute times only "
        "show orders of magnitude.", "",
        sandbox(reading), "",
        "Taken on %s of %s by `tests/bench/run`. Machine: %s. %d samples, of which %d were dropped because something else used more than %d %% of a core." % (
            time.strftime("%Y-%m-%d"), commits(reading), machine(), len(samples), dirty, 100 * measure.others_max), "",
        "## The bars", "",
        "Met: the median is. Within its spread, for the bar of 1.03 only: the lower quartile is, and the median is at most "
        "1.05. A bar that is missed stays here; where the time goes stands at the end.", "",
        *table(("load", "server", "what", "bar", "median (quartiles, n)", "verdict"),
               [*bar_rows(reading, servers, many), *single_bar_rows(reading, many, stripped_size())]),
        "## All loads", "",
        "A base's own row is the base against itself. Busy: the server's core and the load's; where the load is the "
        "limit, that is said.", "",
        *table(("load", "server", "CPU ratio", "µs", "per second", "p50 / p99 ms", "busy"),
               cell_rows(reading, servers, many)),
        "## Debian's programs beside it", "",
        "As a multiple of the C loop: 50 peers × 128 B, and connect, message, close with 20 at once. Memory is that "
        "of all their processes for each of 200 idle peers, in KiB.", "",
        *table(("program", "CPU per message", "p99 ms", "CPU per connection", "KiB per idle peer"),
               debian_rows(reading, servers)),
        "## Start and adoption", "",
        *table(("server", "exec to first answer, ms"),
               [(servers[n].shown, f.show("%.2f")) for n in ("floor", "habit", "echod")
                if (f := reading.of("start", "ms", server=n))]),
        *table(("conversations in the store", "killed; ready again after, ms", "all asked and answered in, ms"),
               [("{:,}".format(p), r.show("%.0f"), reading.of("adoption", "asked_ms", peers=p).show("%.0f"))
                for p in (1000, many) if (r := reading.of("adoption", "ready_ms", peers=p))]),
        "## Memory", "",
        "PSS of all processes of the server, without the pages of programs and libraries, which others may share.", "",
        *table(("idle peers", "server", "B per peer", "MiB at the start", "MiB after they have gone"),
               [("{:,}".format(p), servers[n].shown, m.show("%.0f"),
                 "%.2f" % (reading.of("memory", "before", server=n, peers=p).median / 2**20),
                 "%.2f" % (reading.of("memory", "after", server=n, peers=p).median / 2**20))
                for p in (100, 1000, many) for n in ("floor", "habit", "echod")
                if (m := memory_per_peer(reading, n, p))]),
        *remarks.growth(reading, many),
        *remarks.bulk(reading),
        "## Pictures", "", *drawn, "",
        *profiles(reading, servers, many),
    ]
    failures = sorted({(e["cell"], e["why"]) for e in book.entries if e["kind"] == "failure"})
    if failures:
        out += ["## What failed", "", *("- %s: %s" % failure for failure in failures), ""]
    (plan.BUILD / "report.md").write_text("\n".join(wrapped(out)))
