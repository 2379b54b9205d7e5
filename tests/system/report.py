"""What the person who runs the test sees: a line for each case, and the count."""

import os
import time
import traceback


# What tests/run takes for "this machine cannot".
CANNOT = 77


class Skip(Exception):
    """Raised by a case that cannot be shown here; says why."""


class Results:
    """Counts, and the lines that are counted."""

    def __init__(self):
        self.passed, self.failed, self.skipped = [], [], []
        self.began = time.monotonic()

    def show(self, where, name, work, explain=lambda: ""):
        """Runs work() as the case of this name; true if it passed."""
        label = f"{where}: {name.replace('_', ' ')}"
        began = time.monotonic()
        try:
            note = work()
        except Skip as why:
            if os.environ.get("CI") == "true":
                return self._fail(label, began, f"may not be skipped under CI: {why}")
            self.skipped.append(label)
            self._line("skip", label, began, why)
            return True
        except Exception as fault:
            text = str(fault) if isinstance(fault, AssertionError) and str(fault) else traceback.format_exc()
            return self._fail(label, began, f"{text}\n{explain()}")
        self.passed.append(label)
        self._line("ok", label, began, note)
        return True

    def broke(self, why):
        """The run itself failed: no case did."""
        return self._fail("the run", time.monotonic(), why)

    def _fail(self, label, began, text):
        self.failed.append(label)
        self._line("FAIL", label, began, None)
        print("".join(f"      | {line}\n" for line in str(text).strip().splitlines()), end="", flush=True)
        return False

    def _line(self, verdict, label, began, note):
        took = f"{time.monotonic() - began:.1f} s"
        print(f"{verdict:4}  {label}  ({took}){f': {note}' if note else ''}", flush=True)

    def close(self):
        """The closing lines; the exit status."""
        for label in self.failed:
            print(f"failed: {label}")
        print(f"system test took {time.monotonic() - self.began:.0f} s")
        print(f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped", flush=True)
        return 1 if self.failed or not self.passed else 0


def cannot_boot(why):
    """No container can be booted here: under CI that is a failure."""
    demanded = os.environ.get("CI") == "true"
    print(f"0 passed, {int(demanded)} failed, {int(not demanded)} skipped")
    print(f"cannot boot a container here: {why}")
    return 1 if demanded else CANNOT
