//! Conversations outlive the process: killed at random instants, thousands of
//! times, it loses, doubles and reorders nothing, and resets nobody.
//!
//! `ECHOD_TEST_KILLS` sets how many kills there are, for each scene.

mod ordeal;
mod peers;
mod support;

use echod::echo::Protocol;
use ordeal::{Ordeal, Scene};
use peers::peer::{Goodbye, Load, Plan};
use peers::place::Family;
use peers::successor::Row;
use std::time::Duration;
use support::skip::has_mptcp;

const KIB: u64 = 1 << 10;
const NEVER: u64 = 1 << 50;

/// For each scene; four of them make 2,000 and more.
fn kills() -> u32 {
    let kills = std::env::var("ECHOD_TEST_KILLS").ok();
    kills.map_or(510, |kills| kills.parse().expect("it is a number"))
}

#[test]
fn one_peer_that_waits_for_each_answer_loses_nothing() {
    let mut scene = Scene::new(&[]);
    let address = scene.listen(Protocol::Rfc862, None).into();
    let plan = Plan {
        address,
        protocol: Protocol::Rfc862,
        load: Load::Turns { most: 4_000 },
        goodbye: Goodbye::HalfClose { after: NEVER },
        small_buffer: false,
        message_max: 65_536,
    };
    let mut ordeal = Ordeal::begin(scene, vec![plan]);
    ordeal.suffer(kills());
    ordeal.end(&[Row::Idle]);
}

fn full_windows(scene: &mut Scene) -> Vec<Plan> {
    let mut plans = Vec::new();
    for protocol in Protocol::ALL {
        let plan = Plan {
            address: scene.listen(protocol, None).into(),
            protocol,
            load: Load::Window { bytes: 200 * KIB },
            goodbye: Goodbye::HalfClose { after: NEVER },
            small_buffer: false,
            message_max: 65_536,
        };
        plans.extend(std::iter::repeat_n(plan, 17));
    }
    plans
}

#[test]
fn a_private_buffer_loses_bytes_and_the_peers_notice() {
    let mut scene = Scene::new(&[]);
    let plans = full_windows(&mut scene);
    let mut ordeal = Ordeal::begin(scene, plans);
    ordeal.make_private();
    ordeal.suffer(60);
    let (conversations, bytes) = ordeal.damage();
    assert!(conversations > 0 && bytes > 0);
}

#[test]
fn without_a_store_conversations_die_and_the_peers_notice() {
    let mut scene = Scene::new(&[]);
    scene.manager.store_max(0);
    let plans = full_windows(&mut scene);
    let mut ordeal = Ordeal::begin(scene, plans);
    ordeal.suffer(60);
    let (conversations, _) = ordeal.damage();
    assert!(conversations > 0);
}

#[test]
fn fifty_peers_with_full_windows_lose_nothing() {
    let mut scene = Scene::new(&[]);
    let plans = full_windows(&mut scene);
    let mut ordeal = Ordeal::begin(scene, plans);
    ordeal.suffer(kills());
    ordeal.end(&[Row::Idle, Row::Taken, Row::PartlyGiven, Row::Given]);
}

#[test]
fn answers_in_flight_to_slow_readers_lose_nothing() {
    let mut scene = Scene::new(&["--message-max", "5000"]);
    let mut plans = Vec::new();
    for protocol in Protocol::ALL {
        let address = scene.listen(protocol, Some(1));
        for (bite, rest) in [(700, 1), (5_000, 3), (60_000, 20), (60_000, 100)] {
            let rest = Duration::from_millis(rest);
            let plan = Plan {
                address: address.into(),
                protocol,
                load: Load::Slow { bytes: 60 * KIB, bite, rest },
                goodbye: Goodbye::HalfClose { after: 100 * KIB },
                small_buffer: true,
                message_max: 5_000,
            };
            plans.extend(std::iter::repeat_n(plan, 4));
        }
    }
    let mut ordeal = Ordeal::begin(scene, plans);
    ordeal.suffer(kills());
    ordeal.end(&[Row::Stuck, Row::Taken]);
}

#[test]
fn who_ends_gets_everything_that_is_owed() {
    let mut scene = Scene::new(&[]);
    let plans = those_who_end(&mut scene, Family::Tcp);
    let mut ordeal = Ordeal::begin(scene, plans);
    ordeal.suffer(kills());
    ordeal.end(&[Row::Idle, Row::Taken, Row::WeEnded]);
}

fn those_who_end(scene: &mut Scene, family: Family) -> Vec<Plan> {
    let mut plans = Vec::new();
    for protocol in Protocol::ALL {
        let plan = Plan {
            address: scene.listen_over(family, protocol, None),
            protocol,
            load: Load::Window { bytes: 300 * KIB },
            goodbye: Goodbye::HalfClose { after: 200 * KIB },
            small_buffer: false,
            message_max: 65_536,
        };
        plans.extend(std::iter::repeat_n(plan.clone(), 3));
        let goodbye = Goodbye::Leave { after: 50 * KIB };
        plans.extend(std::iter::repeat_n(Plan { goodbye, ..plan.clone() }, 3));
        let goodbye = Goodbye::HalfClose { after: 100 };
        let load = Load::Turns { most: 100 };
        plans.extend(std::iter::repeat_n(Plan { goodbye, load, ..plan.clone() }, 3));
        let goodbye = Goodbye::Exit { after: 20 * KIB };
        let load = Load::Turns { most: 2_000 };
        match protocol {
            Protocol::Rfc862 => {}
            Protocol::Reply => plans.extend(std::iter::repeat_n(Plan { goodbye, load, ..plan }, 4)),
            Protocol::Line => plans.extend(std::iter::repeat_n(Plan { goodbye, ..plan }, 4)),
        }
    }
    plans
}

/// Those who end, those who always have something under way, and those who are
/// slow to hear it: the default buffers hold less than what they say.
fn everybody(scene: &mut Scene, family: Family) -> Vec<Plan> {
    let mut plans = those_who_end(scene, family);
    for protocol in Protocol::ALL {
        let plan = Plan {
            address: scene.listen_over(family, protocol, None),
            protocol,
            load: Load::Window { bytes: 500 * KIB },
            goodbye: Goodbye::HalfClose { after: NEVER },
            small_buffer: false,
            message_max: 65_536,
        };
        plans.extend(std::iter::repeat_n(plan.clone(), 4));
        for (bite, rest) in [(5_000, 3), (60_000, 20)] {
            let rest = Duration::from_millis(rest);
            let load = Load::Slow { bytes: 900 * KIB, bite, rest };
            let goodbye = Goodbye::HalfClose { after: 600 * KIB };
            plans.extend(std::iter::repeat_n(Plan { load, goodbye, ..plan.clone() }, 3));
        }
    }
    plans
}

#[test]
fn unix_streams_lose_nothing() {
    let mut scene = Scene::new(&[]);
    let plans = everybody(&mut scene, Family::Unix);
    let mut ordeal = Ordeal::begin(scene, plans);
    ordeal.suffer(kills());
    ordeal.end(&[Row::Idle, Row::Taken, Row::PartlyGiven, Row::Given, Row::Stuck]);
}

#[test]
fn multipath_tcp_loses_nothing() {
    if !has_mptcp() {
        return;
    }
    let mut scene = Scene::new(&[]);
    let plans = everybody(&mut scene, Family::Mptcp);
    let mut ordeal = Ordeal::begin(scene, plans);
    ordeal.suffer(kills() / 2);
    ordeal.end(&[Row::Idle, Row::Taken]);
}
