//! The units' numbers fit the program's.

use crate::read;
use echod::config::{CONNECTIONS_MAX, Connections, DRAIN_TIMEOUT};

/// Conversations in one bag, and the entry of the memory file.
const BAG: u64 = 250;

/// Every value of a setting, in order.
fn values(unit: &str, setting: &str) -> Vec<String> {
    read(&format!("systemd/{unit}"))
        .lines()
        .filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

fn value(unit: &str, setting: &str) -> String {
    let mut all = values(unit, setting);
    assert_eq!(all.len(), 1, "{unit} says {setting}= {} times", all.len());
    all.remove(0)
}

fn number(unit: &str, setting: &str) -> u64 {
    value(unit, setting).parse().expect("a setting is a number")
}

const SERVICE: &str = "echo.service";

#[test]
fn both_services_are_the_same_file() {
    assert_eq!(read("systemd/echo.service"), read("systemd/echo-rfc862.service"));
    for setting in ["Requires", "After"] {
        assert_eq!(value(SERVICE, setting), "%N.socket");
    }
    assert_eq!(values(SERVICE, "Sockets"), [""; 0]);
}

#[test]
fn the_template_has_the_locks_of_the_services() {
    let locks = |unit: &str| {
        let text = read(&format!("systemd/{unit}"));
        let begin = text.find("\nDynamicUser=").expect("a unit has locks");
        let end = text.find("\n[Install]").unwrap_or(text.len());
        let locks =
            text[begin..end].lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        locks.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(locks("echo@.service"), locks(SERVICE));
}

#[test]
fn the_descriptors_suffice_for_every_conversation_twice() {
    // Open ones and those in bags are counted apart, and a bag's dead places
    // count as long as there are no more of them than of living ones.
    let wanted = 2 * u64::from(CONNECTIONS_MAX.get()) + 500 + BAG;
    assert!(number(SERVICE, "LimitNOFILE") >= wanted, "LimitNOFILE= is less than {wanted}");
}

#[test]
fn the_store_holds_the_bags_of_the_ceiling_and_as_many_sparse_ones() {
    let ceiling = (1..=17)
        .map(|bits| 1_u64 << bits)
        .rfind(|most| most.to_string().parse::<Connections>().is_ok());
    let bags = ceiling.expect("there is a ceiling").div_ceil(BAG);
    assert!(number(SERVICE, "FileDescriptorStoreMax") > 2 * bags, "{bags} bags");
}

#[test]
fn the_memory_of_a_machine_suffices_for_what_strangers_can_make_it_hold() {
    const MIB: u64 = 1 << 20;
    let percent = value(SERVICE, "MemoryMax");
    let percent = percent.strip_suffix('%').and_then(|text| text.parse::<u64>().ok());
    let (slots, records, sources, batch) = (68 * MIB, 4 * MIB, 4 * MIB, 2 * MIB);
    let program = 16 * MIB;
    let sockets = u64::from(CONNECTIONS_MAX.get()) * 8 * 1024;
    // The kernel lets TCP have 9.375 % in all, unless net.ipv4.tcp_mem says otherwise.
    let own = slots + records + sources + batch + program + sockets;
    let held = |machine: u64| own + machine * 3 / 32;
    for machine in [530 * MIB, 1024 * MIB, 65_536 * MIB] {
        let limit = machine * percent.expect("MemoryMax= is a percentage") / 100;
        assert!(limit >= held(machine), "{} MiB hold {}", machine / MIB, held(machine) / MIB);
    }
}

#[test]
fn nothing_ends_the_store_or_the_socket() {
    assert_eq!(value(SERVICE, "Restart"), "always");
    assert_eq!(value(SERVICE, "NotifyAccess"), "main");
    for unit in [SERVICE, "echo.socket", "echo-rfc862.socket", "examples/echo.socket"] {
        assert_eq!(value(unit, "StartLimitIntervalSec"), "0", "{unit}");
        if unit != SERVICE {
            assert_eq!(value(unit, "TriggerLimitIntervalSec"), "0", "{unit}");
        }
    }
    for lost in ["StopWhenUnneeded", "FileDescriptorStorePreserve", "RestartSec"] {
        assert_eq!(values(SERVICE, lost), [""; 0], "{lost}= would end conversations");
    }
}

#[test]
fn the_manager_waits_for_the_daemon_to_leave() {
    assert!(number(SERVICE, "TimeoutStopSec") >= 2 * DRAIN_TIMEOUT.get().as_secs());
}

#[test]
fn the_sockets_speak_and_listen_as_documented() {
    assert_eq!(values("echo.socket", "ListenStream"), ["127.0.0.1:8080", "[::1]:8080"]);
    assert_eq!(value("echo.socket", "FileDescriptorName"), "reply");
    assert_eq!(values("echo-rfc862.socket", "ListenStream"), ["7"]);
    assert_eq!(value("echo-rfc862.socket", "FileDescriptorName"), "rfc862");
    for unit in ["echo.socket", "echo-rfc862.socket"] {
        assert_eq!(value(unit, "FreeBind"), "yes");
        assert_eq!(value(unit, "ReusePort"), "yes");
        assert_eq!(values(unit, "Service"), [""; 0]);
    }
}
