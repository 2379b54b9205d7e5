//! Who comes with a connection.

use crate::ordeal::Scene;
use crate::peers::peer::{Goodbye, Load, Plan};
use echod::echo::Protocol;
use std::time::Duration;

const KIB: u64 = 1 << 10;

/// `--stall-timeout`: longer than a slow reader needs for an answer, and short
/// enough for a minute to see it pass. A receive buffer of 2 KiB is often smaller
/// than what waits to be sent, and then the kernel gives some of it only when its
/// probe timer goes off: no more than 2 KiB a second were seen.
pub(crate) const STALL: Duration = Duration::from_secs(30);

/// Everybody, in all three protocols.
pub(crate) fn plans(scene: &mut Scene) -> Vec<Plan> {
    Protocol::ALL.into_iter().flat_map(|protocol| speaking(scene, protocol)).collect()
}

fn speaking(scene: &mut Scene, protocol: Protocol) -> Vec<Plan> {
    let usual = Plan {
        address: scene.listen(protocol, None).into(),
        protocol,
        load: Load::Turns { most: 2_000 },
        goodbye: Goodbye::HalfClose { after: 100 * KIB },
        small_buffer: false,
        message_max: 65_536,
    };
    let narrow = scene.listen(protocol, Some(1)).into();
    let mut plans = Vec::new();
    let mut come = |count: usize, load: Load, goodbye: Goodbye| {
        let is_slow = matches!(load, Load::Slow { .. });
        let address = if is_slow { &narrow } else { &usual.address }.clone();
        let plan = Plan { load, goodbye, address, small_buffer: is_slow, ..usual.clone() };
        plans.extend(std::iter::repeat_n(plan, count));
    };
    let half_close = |after| Goodbye::HalfClose { after };
    come(20, Load::Turns { most: 2_000 }, half_close(100 * KIB));
    come(20, Load::Turns { most: 100 }, half_close(2_000));
    come(6, Load::Window { bytes: 100 * KIB }, half_close(2 << 20));
    come(3, Load::Window { bytes: 2 << 20 }, half_close(32 << 20));
    come(15, Load::Window { bytes: 20 * KIB }, Goodbye::Leave { after: 20 * KIB });
    let (bite, rest) = (2_000, Duration::from_millis(5));
    come(15, Load::Slow { bytes: 30 * KIB, bite, rest }, half_close(100 * KIB));
    come(25, Load::Drip { rest: Duration::from_millis(20) }, half_close(500));
    come(15, Load::Turns { most: 100 }, Goodbye::Vanish);
    come(15, Load::Deaf { stall: STALL }, half_close(1 << 40));
    match protocol {
        Protocol::Rfc862 => {}
        Protocol::Reply => come(20, Load::Turns { most: 2_000 }, Goodbye::Exit { after: 5_000 }),
        Protocol::Line => {
            come(20, Load::Window { bytes: 10 * KIB }, Goodbye::Exit { after: 20 * KIB });
        }
    }
    plans
}
