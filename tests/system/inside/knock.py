"""Clients that connect, are answered and leave, again and again, while something happens.

    knock.py --at PROTOCOL,HOST:PORT... [--clients N] [--bound N] --during COMMAND

Prints one line of JSON: how many were answered, refused, reset before a byte was
heard, wrong (also reset or ended behind one) or late (more than --patience
seconds), how often the one client that it hit most was not
answered, and the longest that one took. Exits 1 if any was not answered.
"""

import argparse
import asyncio
import collections
import json
import sys
import time

import voice


class Door:
    """Where to knock, and what came of it."""

    def __init__(self, patience):
        self.patience = patience
        self.counts = {"answered": 0, "refused": 0, "reset": 0, "wrong": 0, "late": 0}
        self.unanswered = collections.Counter()
        self.longest, self.why = 0.0, set()
        self.over = asyncio.Event()

    async def knock(self, protocol, host, port, number):
        """One connection from begin to end."""
        began = time.monotonic()
        said = f"client {number} says hello\n".encode()
        owed = {"reply": said + voice.SUFFIX, "line": said[:-1] + voice.SUFFIX + b"\n", "rfc862": said}[protocol]
        try:
            fate, detail = await asyncio.wait_for(self._talk(host, port, said, owed), self.patience)
        except ConnectionRefusedError as fault:
            fate, detail = "refused", fault
        except (ConnectionError, OSError) as fault:
            fate, detail = ("late" if isinstance(fault, TimeoutError) else "reset"), fault
        except asyncio.TimeoutError:
            fate, detail = "late", f"not answered within {self.patience} s"
        self.counts[fate] += 1
        self.unanswered[number] += fate != "answered"
        self.longest = max(self.longest, time.monotonic() - began)
        if detail:
            self.why.add(str(detail))

    async def _talk(self, host, port, said, owed):
        reader, writer = await asyncio.open_connection(host, port)
        heard, fault = b"", None
        try:
            writer.write(said)
            while len(heard) < len(owed) and (more := await reader.read(len(owed) + 1 - len(heard))):
                heard += more
            writer.write_eof()
            heard += await reader.read(1)
        except OSError as broken:
            if not heard:
                raise
            fault = broken
        finally:
            writer.close()
        if heard == owed and not fault:
            return "answered", None
        return "wrong", f"{owed!r} was owed, {heard!r} came{f', then: {fault}' if fault else ''}"

    async def client(self, protocol, host, port, number):
        """Knocks until it is over."""
        while not self.over.is_set():
            await self.knock(protocol, host, port, number)


async def run(chosen):
    """Everybody knocks while the command runs."""
    door = Door(chosen.patience)
    places = []
    for text in chosen.at:
        protocol, address = text.split(",", 1)
        host, port = address.rsplit(":", 1)
        places.append((protocol, host.strip("[]"), int(port)))
    clients = [asyncio.create_task(door.client(*places[number % len(places)], number))
               for number in range(chosen.clients)]
    await asyncio.sleep(chosen.settle)
    child = await asyncio.create_subprocess_exec("sh", "-c", chosen.during, stdout=sys.stderr, stderr=sys.stderr)
    status = await child.wait()
    await asyncio.sleep(chosen.settle)
    door.over.set()
    await asyncio.gather(*clients)
    return {"command": status, **door.counts, "most": max(door.unanswered.values()),
            "longest": round(door.longest, 3), "why": sorted(door.why)[:5]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", nargs="+", required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--settle", type=float, default=0.5)
    parser.add_argument("--patience", type=float, default=30)
    parser.add_argument("--during", default="sleep 1")
    said = asyncio.run(run(parser.parse_args()))
    print(json.dumps(said))
    bad = said["refused"] + said["reset"] + said["wrong"] + said["late"]
    return 1 if bad or said["command"] != 0 or not said["answered"] else 0


if __name__ == "__main__":
    sys.exit(main())
