"""What a conversation says, and what must come back: every byte depends on its place."""

import random

SUFFIX = "-回传".encode()

# A prime, so that no block size of anybody's divides it.
LENGTH = 65_521

_dice = random.Random(862)
_RAW = bytes(_dice.randrange(256) for _ in range(LENGTH)) * 2
# No "-", so that a suffix is never mistaken; no "e", so that no word is the exit word.
_TEXT = bytes(_dice.choice(b"abcdfghijklmnopqrstuvwxyz0123456789 .,") for _ in range(LENGTH)) * 2
_LINES = bytes(10 if _dice.random() < 0.02 else _TEXT[i] for i in range(LENGTH)) * 2


class Wrong(Exception):
    """What came back is not what is owed."""


class Exact:
    """rfc862 and line: one answer is right, however the network cut the words."""

    def __init__(self, words, number):
        self.words, self.shift, self.said = words, number * 7919 % LENGTH, 0
        self.owed = bytearray()

    def say(self, size):
        """The next bytes to say; what they are owed is noted."""
        start = (self.said + self.shift) % LENGTH
        text = self.words[start:start + min(size, LENGTH)]
        self.said += len(text)
        self.owed += self.answer(text)
        return text

    def answer(self, text):
        """What comes back for this."""
        return text

    def hear(self, data):
        """Checks what came."""
        if not self.owed.startswith(data):
            raise Wrong(f"after {self.said} bytes: {bytes(self.owed[:40])!r} was owed, {data[:40]!r} came")
        del self.owed[:len(data)]

    def waits(self):
        """Whether anything is still owed."""
        return bool(self.owed)

    def close(self):
        """Nothing more will be said: what that makes owed is noted."""


class Rfc862(Exact):
    """Every byte comes back."""

    def __init__(self, number):
        super().__init__(_RAW, number)


class Line(Exact):
    """Each line comes back with the suffix before its end."""

    def __init__(self, number):
        super().__init__(_LINES, number)
        self.last = b"\n"

    def answer(self, text):
        self.last = text[-1:]
        return text.replace(b"\n", SUFFIX + b"\n")

    def close(self):
        if self.last != b"\n":
            self.owed += SUFFIX


class Reply:
    """A read comes back with the suffix behind it; how the reads are cut is not ours to know."""

    def __init__(self, number):
        self.shift, self.said = number * 7919 % LENGTH, 0
        self.owed, self.held, self.fresh = bytearray(), b"", True

    def say(self, size):
        """The next bytes to say."""
        start = (self.said + self.shift) % LENGTH
        text = _TEXT[start:start + min(size, LENGTH)]
        self.said += len(text)
        self.owed += text
        return text

    def hear(self, data):
        """Checks what came: our words in order, and behind each read one whole suffix."""
        data = self.held + data
        cut = data.rfind(SUFFIX[:1], max(0, len(data) - len(SUFFIX) + 1))
        data, self.held = (data, b"") if cut < 0 else (data[:cut], data[cut:])
        if not SUFFIX.startswith(self.held):
            raise Wrong(f"{self.held!r} is no beginning of the suffix")
        first, *others = data.split(SUFFIX)
        self._words(first)
        for words in others:
            if self.fresh:
                raise Wrong("a suffix without words")
            self.fresh = True
            self._words(words)

    def _words(self, words):
        if not self.owed.startswith(words):
            raise Wrong(f"after {self.said} bytes: {bytes(self.owed[:40])!r} was owed, {words[:40]!r} came")
        del self.owed[:len(words)]
        if words:
            self.fresh = False

    def waits(self):
        """Whether words, or their suffix, are still owed."""
        return bool(self.owed or self.held) or not self.fresh

    def close(self):
        """Nothing more is owed for an end."""


VOICES = {"reply": Reply, "line": Line, "rfc862": Rfc862}
