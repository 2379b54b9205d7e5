"""Runs the cases on one suite: for each file of cases a machine of its own."""

import importlib
import pathlib
import re

import machine
import root

SOCKETS = ["echo.socket", "echo-rfc862.socket"]
SERVICES = ["echo.service", "echo-rfc862.service"]
UNITS = SOCKETS + SERVICES

# In the order of an administrator's life with the package.
FILES = ["walk", "install", "sockets", "journal", "choices", "upgrade", "outlive", "faults", "locks", "examples", "client", "scaling", "policy", "red", "removal"]

# What is said after a process was killed: by systemd, and by its successor if it was
# killed in the middle of an answer.
KILLED = "status=9/KILL|Failed with result 'signal'|was in its turn when echod died"


def case(function=None, *, complains=None, degraded=False, suites=None):
    """Marks a case: what it may leave in the journal, and where it makes sense."""
    def mark(body):
        body.marks = {"complains": complains, "degraded": degraded, "suites": suites}
        return body
    return mark(function) if function else mark


def without_order():
    """The files of cases that have no place in FILES, and would never be run."""
    there = {path.stem for path in (pathlib.Path(__file__).parent / "cases").glob("[!_]*.py")}
    return sorted(there - set(FILES))


def names(words):
    """The names of all cases that the words choose."""
    return [f"{file}: {body.__name__.replace('_', ' ')}" for file in FILES for body in _cases(file, words)]


def run(name, built, results, words):
    """Runs all chosen cases on the suite of that name."""
    files = [file for file in FILES if _cases(file, words)]
    if not files:
        return
    places = {}
    for file in files:
        module = importlib.import_module(f"cases.{file}")
        kind = getattr(module, "ROOT", root.EQUIPPED)
        if kind not in places and not results.show(name, f"the_{kind.name}_root_is_there",
                                                   lambda kind=kind: places.update({kind: root.ready(name, kind)})):
            return
        todo = [body for body in _cases(file, words) if name in (body.marks["suites"] or root.SUITES)]
        prepare = getattr(module, "prepare", install)
        while todo:
            todo = _on_one_machine(name, file, todo, places[kind], prepare, built, results)
            prepare = install


def _on_one_machine(name, file, todo, place, prepare, built, results):
    """Runs cases until one fails; gives those that are left, for a new machine."""
    try:
        with machine.Machine(f"echod-{name}", place) as host:
            host.suite = name
            host.built = built
            prepare(host)
            while todo:
                body, todo = todo[0], todo[1:]
                if not results.show(f"{name} {file}", body.__name__, lambda: _one(host, body), lambda: _explain(host)):
                    return todo
                rest(host)
    except Exception as fault:
        # It did not boot, or could not be prepared: a case as well.
        results.show(f"{name} {file}", "the_machine_is_ready", lambda fault=fault: _raise(fault))
        return []
    return todo


def _one(host, body):
    after = host.begun = host.cursor()
    note = body(host)
    state = host.try_("systemctl is-system-running").stdout.strip()
    assert state == "running" or body.marks["degraded"], f"the system is {state}: {host.run('systemctl --failed')}"
    allowed = body.marks["complains"]
    loud = [text for text in host.complaints(after) if not (allowed and re.search(allowed, text))]
    assert not loud, "the journal complains:\n" + "\n".join(loud)
    return note


def install(host):
    """Installs the package just built, as an administrator would."""
    host.bring(built_deb(host), "/opt/echod.deb")
    host.run("apt-get install -y /opt/echod.deb")


def built_deb(host):
    """The package just built."""
    return host.built.deb


def rest(host):
    """Brings the machine back to the state after installation."""
    host.run("systemctl stop 'echo*.socket'; systemctl stop 'echo*.service'; rm -rf /etc/systemd/system/echo* "
             "/run/systemd/system/echo*; systemctl daemon-reload; systemctl reset-failed; true")


def _cases(file, words):
    module = importlib.import_module(f"cases.{file}")
    bodies = [body for body in vars(module).values()
              if hasattr(body, "marks") and body.__module__ == module.__name__]
    return [body for body in bodies if not words or any(word in f"{file} {body.__name__}" for word in words)]


def _explain(host):
    shown = host.try_(f"systemctl status --no-pager -n 0 {' '.join(UNITS)}; systemctl --failed --no-pager; "
                      f"journalctl --no-pager -o short-precise --after-cursor='{host.begun}' | tail -n 60")
    return shown.stdout


def _raise(fault):
    raise fault
