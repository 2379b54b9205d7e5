"""Holds many conversations and checks every byte while something happens.

    talk.py --with PROTOCOL,HOST:PORT,COUNT... [--window N] [--size N] --during COMMAND

Each conversation says the next words as soon as fewer than --window bytes of
the last ones are unanswered (1: question and answer), all the time that the
command runs and --settle seconds more; then each half-closes, and everything
owed must come before the end of file. Prints one line of JSON: the counts, and
the longest time each conversation had to wait, median and maximum. Exits 1
if one was reset, ended, wrong or stuck.
"""

import argparse
import json
import random
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time

import voice


class Talk:
    """One conversation."""

    def __init__(self, number, protocol, address, window, size):
        self.voice = voice.VOICES[protocol](number)
        self.window, self.size, self.dice = window, size, random.Random(number)
        self.unsent, self.waiting_since, self.pause = b"", None, 0.0
        self.mute, self.closing, self.fate, self.why = False, False, None, None
        self.sock = socket.create_connection(address, 60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)

    def wants(self):
        """The events to wait for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.unsent else 0)

    def speak(self):
        """Says what fits the window and the socket."""
        while self.fate is None and (self.unsent or self._may_say_more()):
            if not self.unsent:
                self.unsent = self.voice.say(self.dice.randint(1, self.size))
                self.waiting_since = self.waiting_since or time.monotonic()
            try:
                self.unsent = self.unsent[self.sock.send(self.unsent):]
            except BlockingIOError:
                return
            except OSError as fault:
                self.fate, self.why = "reset", str(fault)

    def _may_say_more(self):
        if self.mute:
            return False
        return len(self.voice.owed) < self.window if self.window > 1 else not self.voice.waits()

    def listen(self):
        """Takes what came and checks it."""
        try:
            data = self.sock.recv(262_144)
        except BlockingIOError:
            return
        except OSError as fault:
            self.fate, self.why = "reset", str(fault)
            return
        now = time.monotonic()
        if self.waiting_since is not None:
            self.pause = max(self.pause, now - self.waiting_since)
        try:
            if data:
                self.voice.hear(data)
            else:
                self.fate = "done" if self.closing and not self.voice.waits() else "ended"
        except voice.Wrong as fault:
            self.fate, self.why = "wrong", str(fault)
        self.waiting_since = now if self.voice.waits() else None

    def close(self):
        """Half-closes once all is said."""
        if self.fate is None and not self.unsent and not self.closing:
            self.closing = True
            self.voice.close()
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError as fault:
                self.fate, self.why = "reset", str(fault)


class Crowd:
    """All conversations, served by one loop."""

    def __init__(self, talks):
        self.talks = talks
        self.selector = selectors.DefaultSelector()
        for talk in talks:
            self.selector.register(talk.sock, talk.wants(), talk)

    def turn(self):
        """One round: whoever is ready listens, then speaks."""
        for key, _ in self.selector.select(0.05):
            talk, before = key.data, key.events
            talk.listen()
            talk.speak()
            self._look_after(talk, before)

    def _look_after(self, talk, before):
        if talk.fate is not None:
            self.selector.unregister(talk.sock)
        elif talk.wants() != before:
            self.selector.modify(talk.sock, talk.wants(), talk)

    def living(self):
        """Those that have not ended."""
        return [talk for talk in self.talks if talk.fate is None]

    def begin(self):
        """Everybody says something, and is answered once, before anything happens."""
        for talk in self.living():
            talk.speak()
            self._look_after(talk, selectors.EVENT_READ)
        deadline = time.monotonic() + 60
        while any(talk.pause == 0 for talk in self.living()) and time.monotonic() < deadline:
            self.turn()
        for talk in self.talks:
            talk.pause = 0.0

    def during(self, command, settle):
        """Talks while the command runs and for a while after; gives its exit status."""
        child = subprocess.Popen(["sh", "-c", command], stdout=sys.stderr, stderr=sys.stderr)
        while child.poll() is None:
            self.turn()
        deadline = time.monotonic() + settle
        while time.monotonic() < deadline:
            self.turn()
        return child.returncode

    def finish(self, patience):
        """Everybody half-closes and takes what is owed."""
        deadline = time.monotonic() + patience
        for talk in self.living():
            talk.mute = True
        while self.living() and time.monotonic() < deadline:
            for talk in self.living():
                talk.close()
            self.turn()
        for talk in self.living():
            talk.fate, talk.why = "stuck", f"{len(talk.voice.owed)} bytes owed"


def report(talks, began, status):
    """The counts."""
    fates = [talk.fate for talk in talks]
    pauses = [talk.pause for talk in talks] or [0.0]
    return {
        "conversations": len(talks), "command": status,
        **{fate: fates.count(fate) for fate in ("done", "reset", "ended", "wrong", "stuck")},
        "bytes": sum(talk.voice.said for talk in talks), "seconds": round(time.monotonic() - began, 1),
        "pause_median": round(statistics.median(pauses), 3), "pause_max": round(max(pauses), 3),
        "why": sorted({talk.why for talk in talks if talk.why})[:5],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--with", dest="parties", nargs="+", required=True)
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--settle", type=float, default=0.5)
    parser.add_argument("--patience", type=float, default=60)
    parser.add_argument("--during", default="sleep 1")
    chosen = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    began, talks = time.monotonic(), []
    for party in chosen.parties:
        protocol, address, count = party.rsplit(",", 2)
        host, port = address.rsplit(":", 1)
        for _ in range(int(count)):
            talks.append(Talk(len(talks), protocol, (host.strip("[]"), int(port)), chosen.window, chosen.size))
    crowd = Crowd(talks)
    crowd.begin()
    status = crowd.during(chosen.during, chosen.settle)
    crowd.finish(chosen.patience)
    said = report(talks, began, status)
    print(json.dumps(said))
    return 0 if said["done"] == len(talks) and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
