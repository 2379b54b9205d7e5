"""The packages under test: built, built again to compare, and changed copies."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import cage

TREE = pathlib.Path(__file__).resolve().parents[2]
IDENTICAL = "two_builds_in_different_folders_are_identical"


class Packages:
    """What packaging/build-deb made of the working tree."""

    def __init__(self, results, given, words):
        self.copies = {}
        if given:
            self.folder = pathlib.Path(given).resolve()
        else:
            self.folder = TREE / "target/deb"
            if not results.show("host", "the_package_builds", lambda: build(TREE, self.folder)):
                raise SystemExit(results.close())
            if not words or any(word in IDENTICAL for word in words):
                results.show("host", IDENTICAL, self._again)
        # Whoever builds again meanwhile does not take it from under the cases.
        self.folder = pathlib.Path(shutil.copytree(self.folder, cage.WORK / "packages", ignore=_folders))
        self.deb = next(self.folder.glob("echod_*.deb"))
        self.version = subprocess.run(["dpkg-deb", "-f", self.deb, "Version"],
                                      capture_output=True, text=True, check=True).stdout.strip()

    def changed(self, version, edit=lambda tree: None):
        """A copy of the package with another version, and whatever edit(tree) changes."""
        made = cage.WORK / f"echod_{version}.deb"
        if made not in self.copies:
            tree = cage.WORK / f"changed-{version}"
            subprocess.run(["dpkg-deb", "-R", self.deb, tree], check=True)
            control = tree / "DEBIAN/control"
            control.write_text(control.read_text().replace(f"Version: {self.version}\n", f"Version: {version}\n"))
            edit(tree)
            _count_again(tree)
            subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", tree, made],
                           check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(tree)
            self.copies[made] = True
        return made

    def _again(self):
        # Another folder, another home for the build, another time zone and umask; and
        # something that was built in the tree.
        with tempfile.TemporaryDirectory(prefix="echod-elsewhere-") as other:
            copy = pathlib.Path(other) / "tree"
            skip = shutil.ignore_patterns("target", ".git", "__pycache__")
            shutil.copytree(TREE, copy, symlinks=True, ignore=skip)
            for left in ("tests/fuzz/target/debug/fuzz", "tests/fuzz/Cargo.lock", "tests/bench/__pycache__/plan.pyc"):
                (copy / left).parent.mkdir(parents=True, exist_ok=True)
                (copy / left).write_text("built\n")
            build(copy, pathlib.Path(other) / "out", TZ="Asia/Shanghai", LC_ALL="C")
            compared = _digests(self.folder), _digests(pathlib.Path(other) / "out")
        assert compared[0], "nothing to compare"
        differing = [name for name in compared[0] if compared[0][name] != compared[1].get(name)]
        assert not differing and compared[0].keys() == compared[1].keys(), f"these differ: {differing}"
        return ", ".join(sorted(compared[0]))


def build(tree, out, **environment):
    """Runs packaging/build-deb of that tree into that folder."""
    environment = {**os.environ, "CARGO_HOME": _cargo_home(), **environment, "DEB_OUT": str(out)}
    environment.pop("CARGO_TARGET_DIR", None)
    done = subprocess.run([tree / "packaging/build-deb"], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"packaging/build-deb: exit {done.returncode}\n{done.stdout[-6000:]}"


def _folders(where, names):
    return [name for name in names if os.path.isdir(os.path.join(where, name))]


def _cargo_home():
    return os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")


def _digests(folder):
    files = [path for pattern in ("*.deb", "*.dsc", "*.tar.xz") for path in folder.glob(pattern)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _count_again(tree):
    lines = []
    for path in sorted(tree.rglob("*")):
        inside = path.relative_to(tree)
        if path.is_file() and not path.is_symlink() and inside.parts[0] not in ("DEBIAN", "etc"):
            lines.append(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {inside}\n")
    (tree / "DEBIAN/md5sums").write_text("".join(lines))
