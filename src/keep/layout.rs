//! Where things lie in the memory file. Its size is a constant of the layout,
//! never of options, and later layouts only append: a successor that knows
//! fewer fields still reads the first 64 bytes of header and record.

use crate::echo;

/// "echod" and two bytes that no text has.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"echod\x00\xff\x01");
/// Counted up whenever a successor would misread.
pub(super) const LAYOUT: u32 = 1;

/// Conversations at once, one cache line each.
pub const RECORDS: u32 = 65_536;
/// Places for input that has not been answered whole: one that is read into
/// now, the others for answers that their peers do not take.
pub const SLOTS: u32 = 1_024;
/// The most a slot holds: the longest input, and room for the suffix behind it.
pub const SLOT_SIZE: usize = echo::BUFFER_SIZE;

pub(super) const RECORD_SIZE: usize = 64;
pub(super) const PAGE: usize = 4_096;
/// Slots begin on pages, so that idle ones can be given back to the kernel.
pub(super) const SLOT_STRIDE: usize = SLOT_SIZE.next_multiple_of(PAGE);
/// Room for 16 datagrams with their addresses and control data. What lies there
/// is `socket`'s: its `Area`, which is part of this layout.
pub(super) const DATAGRAMS_SIZE: usize = (2 << 20) - METERS_SIZE;
/// Room for one meter for each slot, into which the kernel writes counts where a
/// connection has none. It is `socket`'s as well, and was the end of the place for
/// datagrams, where nothing lay.
pub(super) const METERS_SIZE: usize = SLOTS as usize * METER_STRIDE;
const METER_STRIDE: usize = 256;

pub(super) const RULES_AT: usize = PAGE;
pub(super) const RULES_SIZE: usize = 4 * PAGE;
pub(super) const RECORDS_AT: usize = RULES_AT + RULES_SIZE;
pub(super) const DATAGRAMS_AT: usize = RECORDS_AT + RECORDS as usize * RECORD_SIZE;
pub(super) const METERS_AT: usize = DATAGRAMS_AT + DATAGRAMS_SIZE;
pub(super) const SLOTS_AT: usize = METERS_AT + METERS_SIZE;
pub(super) const FILE_SIZE: usize = SLOTS_AT + SLOTS as usize * SLOT_STRIDE;

const _: () = assert!(METERS_AT % PAGE == 0);
const _: () = assert!(RECORDS_AT % PAGE == 0 && SLOTS_AT % PAGE == 0 && FILE_SIZE % PAGE == 0);
