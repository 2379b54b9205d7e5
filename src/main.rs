//! The program: the life of the daemon is in [`echod`].
fn main() {}
