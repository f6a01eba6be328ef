//! The checker can fail: each rule of docs/link.md is broken on purpose, and the simulation finds it.

use std::io::Write as _;

use campanile_proto::planted::{FAULTS, Fault};
use campanile_simulation::hunt::hunt;

/// Seeds that may be tried for one fault.
const SEEDS: u64 = 300;

/// Plants a fault and runs seeds until a promise breaks. `first` only saves time: it is where that was seen once.
fn is_found(fault: Fault, first: u64) {
    let seeds = (first..SEEDS).chain(0..first);
    match hunt(fault, seeds) {
        Some(found) => {
            let violation = &found.violation;
            // Shown with `cargo test -- --nocapture`, and when it fails.
            let name = format!("{fault:?}");
            let kind = format!("{:?}", found.kind);
            let line = format!("{name:<22} {kind:<12} seed {:>3}: {violation}\n", found.seed);
            // Nothing depends on whether anybody reads it.
            let _ = std::io::stdout().write_all(line.as_bytes());
        }
        None => panic!("{fault:?} breaks nothing in {SEEDS} seeds"),
    }
}

macro_rules! found {
    ($($test:ident: $fault:ident from $first:literal,)*) => {
        $(
            #[test]
            fn $test() {
                is_found(Fault::$fault, $first);
            }
        )*

        #[test]
        fn every_fault_has_its_test() {
            let tested = [$(Fault::$fault),*];
            for fault in FAULTS {
                assert!(tested.contains(fault), "{fault:?} is planted nowhere here");
            }
            assert_eq!(tested.len(), FAULTS.len());
        }
    };
}

found! {
    l2_an_older_link_lives: OlderLinkLives from 0,
    l3_any_generation: AnyGeneration from 0,
    l3_any_offset: AnyOffset from 0,
    l4_effects_leave_the_lock: EffectsLeaveTheLock from 0,
    l5_numbers_are_forgotten: ForgetNumbers from 0,
    l5_any_epoch: AnyEpoch from 0,
    l5_a_publish_runs_late: RunLate from 92,
    l6_live_too_early: LiveTooEarly from 0,
    l6_any_position: AnyPosition from 0,
    r1_an_older_ring: AdoptOlder from 0,
    r2_a_blind_start: StartBlind from 0,
    h1_dropped_at_once: DropAtOnce from 0,
    h1_served_while_given: ServeWhileGiving from 0,
    h2_opened_unasked: OpenUnasked from 0,
    h2_nothing_at_an_older_ring: NothingAtOlderRing from 0,
    h2_keys_stay_behind: ForgetKeys from 0,
    h2_windows_stay_behind: ForgetWindows from 0,
    h2_the_history_stays_behind: ForgetHistory from 0,
    h2_parked_requests_are_shuffled: ShuffleParked from 0,
    h3_the_epoch_is_taken_back: TakeEpochBack from 0,
    h3_the_epoch_of_the_gone_is_kept: KeepEpochOfTheGone from 0,
    h4_sees_are_ignored: IgnoreSees from 0,
    h5_opened_twice: OpenTwice from 0,
    h6_a_foreign_topic_is_opened: OpenForeign from 0,
    h7_the_name_is_enough: NameIsEnough from 0,
    h8_left_before_moved: LeaveBeforeMoved from 0,
    h9_two_targets: TwoTargets from 0,
    h10_given_to_strangers: GiveToStrangers from 60,
}
