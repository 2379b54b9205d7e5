"""The Debian package in Debian's own eyes."""

from suite import case

# What bookworm's older lintian says of a package for trixie; see echod's lintian-overrides.
BOOKWORM = ("newer-standards-version", "package-supports-alternative-init-but-no-init.d-script", "spelling-error-in-binary")


def _bring(host):
    for path in host.built.folder.iterdir():
        if path.is_file():
            host.bring(path, f"/opt/built/{path.name}")


@case
def lintian_has_nothing_to_say(host):
    _bring(host)
    out = host.run("cd /opt/built && chown -R nobody . && setpriv --reuid=65534 --regid=65534 --clear-groups "
                   "lintian -EviI --pedantic --show-overrides --fail-on=none *.changes 2>&1", 300)
    tags = [line for line in out.splitlines() if line[:3] in ("E: ", "W: ", "I: ", "P: ", "X: ", "C: ")]
    known = BOOKWORM if host.suite == "bookworm" else ()
    loud = [tag for tag in tags if not any(f": {name}" in tag for name in known)]
    assert not loud, out
    for program in ("usr/sbin/echod", "usr/bin/echo-ping"):
        assert f"O: echod: hardening-no-fortify-functions [{program}]" in out, f"lintian did not look:\n{out}"
    return f"{len(tags)} of bookworm's own" if tags else None


@case
def autopkgtest_passes(host):
    _bring(host)
    # The machine is what the restriction asks for, though the null backend cannot say so.
    out = host.run("cd /opt/built && autopkgtest --ignore-restrictions=isolation-container -B "
                   "./echod_*_*.deb ./echod_*.dsc -- null 2>&1", 300)
    assert " PASS" in out and " SKIP" not in out, out
