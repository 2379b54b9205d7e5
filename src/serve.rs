//! The work: accept, answer, see off. One thread does all of it.
//!
//! What a conversation knows lives at the [`Desk`], not in the future that
//! drives it: that one only waits. A turn has no `await` in it, so there is no
//! instant at which dying and stopping differ.

mod accept;
mod admission;
mod adoption;
mod alarms;
mod buckets;
mod converse;
mod counting;
mod crowd;
mod datagrams;
mod desk;
mod give;
mod guard;
mod leave;
mod missed;
mod opening;
mod packet;
mod seeing_off;
mod status;
mod suspect;
mod talk;
mod tidy;
mod turn;

pub use accept::{Connection, Listener, accept_all, all_over, begin};
pub use admission::Places;
pub use alarms::keep_time;
pub use counting::{Counted, count};
pub use crowd::keep_order;
pub use datagrams::{Mailbox, Post, answer_all};
pub use desk::{Desk, close_desk, with};
pub use leave::{Who, drain, give_up, settle};
pub use opening::{Opened, Opening, open_desk};
pub use status::stirred;
pub use suspect::{Suspect, face};

#[cfg(test)]
mod tests;
