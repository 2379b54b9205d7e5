"""The book, read: samples as ratios, medians and their spread."""

import statistics

import measure


class Figures:
    """Many values of one thing."""

    def __init__(self, values):
        self.values = sorted(values)

    def __bool__(self):
        return bool(self.values)

    @property
    def n(self):
        return len(self.values)

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def quartiles(self):
        if self.n < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def show(self, form="%.3f"):
        return (form + " (" + form + "–" + form + ", n %d)") % (self.median, *self.quartiles, self.n)

    def point(self, x):
        return (x, self.median, *self.quartiles)


class Reading:
    """The book, read."""

    def __init__(self, book):
        self.entries = book.entries
        self.dropped = self.kept = 0

    def chains(self, cell):
        return [e["samples"] for e in self.entries if e["kind"] == "chain" and e["cell"] == cell]

    def samples(self, cell, server, field):
        return Figures(s[field] for chain in self.chains(cell) for s in chain
                       if s["server"] == server and measure.is_clean(s))

    def ratios(self, cell, server, field):
        """Each sample against the mean of its two neighbours, which are the base."""
        found = []
        for chain in self.chains(cell):
            for before, it, after in zip(chain, chain[1:], chain[2:]):
                if it["server"] == server and all(map(measure.is_clean, (before, it, after))):
                    base = (before[field] + after[field]) / 2
                    found.append(it[field] / base if base else 1.0)
        return Figures(found)

    def base_against_itself(self, cell):
        found = []
        for chain in self.chains(cell):
            bases = chain[::2]
            found += [b["ns"] / a["ns"] for a, b in zip(bases, bases[1:]) if measure.is_clean(a) and measure.is_clean(b)]
        return Figures(found)

    def of(self, kind, field, **wanted):
        return Figures(e[field] for e in self.entries
                       if e["kind"] == kind and all(e.get(k) == v for k, v in wanted.items()))


def memory_per_peer(reading, server, peers):
    return Figures((e["during"] - e["before"]) / peers for e in reading.entries
                   if e["kind"] == "memory" and e["server"] == server and e["peers"] == peers)
