"""Plain charts as SVG: points joined by lines, or bars."""

import html
import math

COLOURS = ("#555555", "#c0392b", "#2471a3", "#1e8449", "#b7950b", "#7d3c98")
WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 50, 60
FONT = 'font-family="DejaVu Sans, sans-serif"'


def text(x, y, words, size=13, anchor="middle", turn=False):
    turned = ' transform="rotate(-90 %g %g)"' % (x, y) if turn else ""
    return '<text x="%g" y="%g" font-size="%d" text-anchor="%s"%s %s>%s</text>' % (
        x, y, size, anchor, turned, FONT, html.escape(words))


def line(points, colour, width=1.0, dash=""):
    joined = " ".join("%.1f,%.1f" % point for point in points)
    return '<polyline points="%s" fill="none" stroke="%s" stroke-width="%g" stroke-dasharray="%s"/>' % (
        joined, colour, width, dash)


class Axis:
    """Values to pixels, in powers of ten or straight."""

    def __init__(self, values, pixels, powers, from_zero=False):
        low, high = min(values), max(values)
        self.powers, self.pixels = powers, pixels
        if powers:
            low, high = math.log10(low) - 0.05, math.log10(high) + 0.05
        else:
            room = (high - low) * 0.1 or high * 0.1 or 1
            low, high = (0 if from_zero else low - room), high + room
        self.low, self.high = low, high

    def at(self, value):
        value = math.log10(value) if self.powers else value
        start, end = self.pixels
        return start + (end - start) * (value - self.low) / (self.high - self.low)

    def ticks(self):
        if self.powers:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            ticks = [factor * 10.0 ** decade for decade in decades for factor in (1, 2, 5)]
            ticks = [tick for tick in ticks if self.low <= math.log10(tick) <= self.high]
            return ticks if len(ticks) < 9 else [tick for tick in ticks if "%e" % tick < "2"]
        step = 10.0 ** math.floor(math.log10(self.high - self.low))
        step = next(step * part for part in (1, 0.5, 0.2, 0.1) if (self.high - self.low) / (step * part) >= 4)
        first = math.ceil(self.low / step)
        return [step * n for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def number(value):
    return "{:,.0f}".format(value) if value >= 10 else "%.3g" % value


def frame(title, x_title, y_title, parts):
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">' % (
            WIDTH, HEIGHT, WIDTH, HEIGHT),
        '<rect width="100%" height="100%" fill="white"/>',
        text(WIDTH / 2, 20, title, 15),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_title),
        text(18, (TOP + HEIGHT - BOTTOM) / 2, y_title, turn=True),
        *parts, "</svg>", ""])


def lines(title, x_title, y_title, series, y_powers=False, x_powers=True, y_from_zero=False):
    """`series`: a name and its points (x, y, least, most), the last two its spread."""
    points = [point for _, some in series for point in some]
    x = Axis([point[0] for point in points], (LEFT + 15, WIDTH - RIGHT - 15), x_powers)
    y = Axis([value for point in points for value in point[1:]], (HEIGHT - BOTTOM, TOP + 20), y_powers, y_from_zero)
    parts = []
    for tick in y.ticks():
        at = y.at(tick)
        parts += [line([(LEFT, at), (WIDTH - RIGHT, at)], "#dddddd"), text(LEFT - 8, at + 4, number(tick), 12, "end")]
    for tick in sorted({point[0] for point in points}):
        parts += [line([(x.at(tick), TOP + 20), (x.at(tick), HEIGHT - BOTTOM)], "#eeeeee"),
                  text(x.at(tick), HEIGHT - BOTTOM + 18, number(tick), 12)]
    for index, (name, some) in enumerate(series):
        colour, shift = COLOURS[index % len(COLOURS)], 3 * (index - (len(series) - 1) / 2)
        some = sorted(some)
        parts.append(line([(x.at(px) + shift, y.at(py)) for px, py, *_ in some], colour, 2))
        for px, py, least, most in some:
            parts.append(line([(x.at(px) + shift, y.at(least)), (x.at(px) + shift, y.at(most))], colour, 1.5))
            parts.append('<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>' % (x.at(px) + shift, y.at(py), colour))
        at = LEFT + 10 + index * (WIDTH - LEFT - RIGHT) / len(series)
        parts += [line([(at, TOP - 8), (at + 22, TOP - 8)], colour, 3), text(at + 27, TOP - 4, name, 12, "start")]
    return frame(title, x_title, y_title, parts)


def bars(title, x_title, rows):
    """`rows`: a name and its value each, on a scale of powers of ten."""
    axis = Axis([1, *(value for _, value in rows)], (LEFT + 150, WIDTH - RIGHT - 60), True)
    step = (HEIGHT - TOP - BOTTOM) / len(rows)
    parts = []
    for index, (name, value) in enumerate(rows):
        top = TOP + index * step
        colour = COLOURS[1] if name.startswith("echod") else COLOURS[0]
        parts += [text(LEFT + 140, top + step / 2 + 4, name, 12, "end"),
                  '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>' % (
                      LEFT + 150, top + step * 0.2, max(2, axis.at(value) - LEFT - 150), step * 0.6, colour),
                  text(max(LEFT + 152, axis.at(value)) + 6, top + step / 2 + 4, number(value), 12, "start")]
    return frame(title, x_title, "", parts)
