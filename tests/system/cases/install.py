"""The package is installed, and nothing happens until somebody asks for it."""

from suite import UNITS, built_deb, case


def prepare(host):
    """Nothing is installed yet."""
    host.bring(built_deb(host), "/opt/echod.deb")


def _there(host):
    """It is installed, also if only some cases were chosen."""
    host.run("dpkg-query -W echod >/dev/null 2>&1 || apt-get install -y /opt/echod.deb")


@case
def apt_installs_it_without_a_failed_unit(host):
    out = host.run("apt-get install -y /opt/echod.deb")
    assert "echod" in out and "rror" not in out, out
    assert host.run("systemctl --failed --plain --no-legend").strip() == ""
    return host.run("dpkg-query -W -f '${Version}, ${Installed-Size} KiB' echod")


@case
def nothing_is_enabled(host):
    _there(host)
    for unit in UNITS:
        assert host.try_(f"systemctl is-enabled {unit}").stdout.strip() == "disabled", unit


@case
def nothing_is_started_and_nothing_listens(host):
    _there(host)
    for unit in UNITS:
        assert host.try_(f"systemctl is-active {unit}").stdout.strip() == "inactive", unit
    assert host.run("ss -Hltun").strip() == ""


@case
def its_files_are_as_packaged(host):
    _there(host)
    assert host.run("dpkg -V echod").strip() == ""
    host.run("echod --version && echod --help && echo-ping --version && echo-ping --help")


@case
def the_manual_the_completions_and_the_examples_are_there(host):
    _there(host)
    out = host.run("man --pager=cat -w echod; man -P cat 8 echod; man -P cat 1 echo-ping")
    assert "ECHOD(8)" in out and "ECHO-PING(1)" in out, out
    files = host.run("dpkg -L echod")
    for file in ("bash-completion/completions/echod", "vendor-completions/_echod", "vendor_completions.d/echod.fish",
                 "bash-completion/completions/echo-ping", "vendor-completions/_echo-ping",
                 "vendor_completions.d/echo-ping.fish",
                 "examples/echo@.service", "examples/echo.socket", "examples/self-binding.conf",
                 "examples/echo-ping.cfg", "examples/echo-ping.service", "examples/echo-ping.timer",
                 "copyright", "/etc/default/echod"):
        assert file in files, f"{file} is not among\n{files}"


@case
def the_manuals_fit_a_terminal_of_80_columns(host):
    _there(host)
    pages = host.run("dpkg -L echod | grep '/man/.*gz$'").split()
    for page in pages:
        # lintian looks for other warnings, and overlooks lines that are too long. One that
        # cannot be adjusted is too short: Chinese has no blanks that could be wider.
        told = host.run(f"LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -Tutf8 -l {page} 2>&1 >/dev/null").splitlines()
        told = [line for line in told if "adjust line" not in line]
        assert not told, "\n".join([page, *told])
    assert pages, "there is no page"
    return f"{len(pages)} pages"


@case
def systemd_finds_no_fault_in_the_units(host):
    _there(host)
    for unit in UNITS:
        out = host.run(f"systemd-analyze verify {unit} 2>&1")
        assert out.strip() == "", out
