//! Which kind of record is which. `packaging/catalog` explains each of these to
//! `journalctl -x`; a number once given is never used for anything else.

pub(super) const READY: &str = "82443f457d9b46338bf53d5b47a8f4e4";
pub(super) const ADOPTED: &str = "5f2bfa0edf0c44eeb740f600ef173d45";
pub(super) const STOPPING: &str = "e4de1910735d448ab93c097696ea3d35";
pub(super) const FAILED: &str = "0774ba0ceaf747bda9fae60299b3155f";
pub(super) const BEGAN: &str = "81971031326a4c89aa6b03f6dc810abd";
pub(super) const ENDED: &str = "7c0e5703202144ce8a94925ee2f8dc07";
pub(super) const SUMMED: &str = "d771cdd89fb34d5fbf6be2fd0578319d";
pub(super) const REFUSED: &str = "ca7f2687b7be4a6ba5a407f0a4c19148";
pub(super) const LOST: &str = "eec92ee9eb3f460fb6bf984509855c96";
pub(super) const UNKNOWN_VARIABLE: &str = "7fa38ec439b440abb8f20b01ab850103";
pub(super) const CANNOT_ACCEPT: &str = "b9154490757d4d39be626f4fdc955c23";
pub(super) const LISTENER_FAILED: &str = "7f35244a41d447bb9524242f6e98a6cd";
pub(super) const STORE_FULL: &str = "8e8f6c9eb1cd4a9eabe3c452ec7ccc80";
pub(super) const NOT_KEPT: &str = "05f6b529606c422b93af2c74887b427a";
pub(super) const CONTRADICTION: &str = "4dead89525184dce9847702fcd96e039";
pub(super) const STRUCK: &str = "2e4f3e141c4b4543941a89e5c4f6f65c";
pub(super) const STRUCK_OUT: &str = "02d516eafea8416cb628c9933d7f8a73";
pub(super) const MEMORY_UNREADABLE: &str = "ab992171a103429598c52d995369d4ea";

/// The name and the `MESSAGE_ID` of every kind of record that has one.
pub const MESSAGE_IDS: &[(&str, &str)] = &[
    ("ready", READY),
    ("adopted", ADOPTED),
    ("stopping", STOPPING),
    ("failed", FAILED),
    ("began", BEGAN),
    ("ended", ENDED),
    ("summed", SUMMED),
    ("refused", REFUSED),
    ("lost", LOST),
    ("unknown-variable", UNKNOWN_VARIABLE),
    ("cannot-accept", CANNOT_ACCEPT),
    ("listener-failed", LISTENER_FAILED),
    ("store-full", STORE_FULL),
    ("not-kept", NOT_KEPT),
    ("contradiction", CONTRADICTION),
    ("struck", STRUCK),
    ("struck-out", STRUCK_OUT),
    ("memory-unreadable", MEMORY_UNREADABLE),
];

/// Every field that a record may have besides the journal's own.
pub const FIELDS: &[&str] = &[
    "ECHO_CONVERSATION",
    "ECHO_TRANSPORT",
    "ECHO_PROTOCOL",
    "ECHO_LOCAL",
    "ECHO_PEER",
    "ECHO_PEER_ADDRESS",
    "ECHO_PEER_PORT",
    "ECHO_PEER_PID",
    "ECHO_PEER_UID",
    "ECHO_BYTES_RECEIVED",
    "ECHO_BYTES_SENT",
    "ECHO_MESSAGES",
    "ECHO_DURATION_USEC",
    "ECHO_ENDING",
    "ECHO_REFUSAL",
];
