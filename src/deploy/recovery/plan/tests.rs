use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const STATES: [GenerationState; 3] = [
    GenerationState::Starting,
    GenerationState::Live,
    GenerationState::Draining,
];

/// Each combination that can be found: at most one generation is written down as live, numbers don't repeat, and
/// whatever else is left to chance.
fn sights() -> impl Strategy<Value = Sight> {
    let rows = btree_map(1..8u32, (select(&STATES[..]), any::<bool>(), 1..5u32), 0..5);
    let strangers = btree_map(8..11u32, (any::<bool>(), option::of(1..5u32)), 0..3);
    let open = btree_set(20..32u32, 0..4);
    let releases = btree_map(1..5u32, 18..32u32, 0..4);
    let directories = vec(
        select(&["1", "2", "3", "4", "9", ".staging-7", "x y", "-1"][..]),
        0..5,
    );
    (
        rows,
        strangers,
        open,
        releases,
        directories,
        0..12u32,
        any::<bool>(),
    )
        .prop_map(
            |(rows, strangers, open, releases, directories, leads_to, locked)| {
                let mut live_yet = false;
                let generations: Vec<Seen> = rows
                    .into_iter()
                    .map(|(number, (mut state, keeper, release))| {
                        if state == GenerationState::Live && std::mem::replace(&mut live_yet, true)
                        {
                            state = GenerationState::Draining;
                        }
                        Seen {
                            number: GenerationNumber(number),
                            release: ReleaseNumber(release),
                            deploy: DeployNumber(number + 20),
                            state,
                            keeper,
                        }
                    })
                    .collect();
                let strangers: Vec<_> = strangers
                    .into_iter()
                    .map(|(number, (keeper, release))| Stranger {
                        number: GenerationNumber(number),
                        release: release.map(ReleaseNumber),
                        keeper,
                    })
                    .collect();
                // `live.sock` is one of the sockets that are there, or is not.
                let leads_to = Some(GenerationNumber(leads_to)).filter(|number| {
                    generations.iter().any(|seen| seen.number == *number)
                        || strangers.iter().any(|stranger| stranger.number == *number)
                });
                let directories: BTreeSet<_> = directories.into_iter().map(str::to_owned).collect();
                Sight {
                    generations,
                    strangers,
                    leads_to,
                    locks: locked
                        .then(|| Lock::made_up("HEAD.lock"))
                        .into_iter()
                        .collect(),
                    open: open.into_iter().map(DeployNumber).collect(),
                    releases: releases
                        .into_iter()
                        .map(|(number, deploy)| built(number, deploy))
                        .collect(),
                    directories: directories.into_iter().collect(),
                }
            },
        )
}

/// What is found if the plan has been carried out, and what a worker then holds.
fn carried_out(sight: &Sight, plan: &[Action]) -> (Sight, Held) {
    let (mut after, mut held) = (sight.clone(), Held::default());
    let set = |after: &mut Sight, number, state| {
        let row = after
            .generations
            .iter_mut()
            .find(|row| row.number == number);
        row.expect("it is remembered").state = state;
    };
    let gone = |after: &mut Sight, number| {
        after.generations.retain(|row| row.number != number);
        after.strangers.retain(|stranger| stranger.number != number);
        after.leads_to = after.leads_to.filter(|leads_to| *leads_to != number);
    };
    for action in plan {
        match action {
            Action::Unlock(lock) => after.locks.retain(|one| one != lock),
            Action::Forget(number) => after.releases.retain(|built| built.number != *number),
            Action::Interrupt(deploy) => after.open.retain(|open| open != deploy),
            Action::Complete(swapped) => after.open.retain(|open| *open != swapped.deploy),
            Action::Enrol(number) => {
                let stranger = after
                    .strangers
                    .iter()
                    .find(|stranger| stranger.number == *number);
                let release = stranger.unwrap().release.unwrap_or(ReleaseNumber(4));
                after.releases.push(Built {
                    number: release,
                    deploy: DeployNumber(0),
                });
                after
                    .strangers
                    .retain(|stranger| stranger.number != *number);
                after.generations.push(Seen {
                    number: *number,
                    release,
                    deploy: DeployNumber(0),
                    state: GenerationState::Draining,
                    keeper: true,
                });
            }
            Action::Publish(number) => after.leads_to = Some(*number),
            Action::Record(number) => {
                for row in &mut after.generations {
                    if row.state == GenerationState::Live {
                        row.state = GenerationState::Draining;
                    }
                }
                set(&mut after, *number, GenerationState::Live);
            }
            Action::Adopt(number) => {
                assert_eq!(held.live.replace(*number), None, "one generation is live");
                held.all.insert(*number);
            }
            Action::Drain(number) | Action::Await(number) => {
                held.all.insert(*number);
            }
            Action::Stop(number) | Action::Bury(number) | Action::Clear(number) => {
                gone(&mut after, *number);
            }
            Action::Remove(name) => after.directories.retain(|directory| directory != name),
        }
    }
    (after, held)
}

/// What was forgotten with its generation goes a look later.
fn buried_too(action: &Action) -> bool {
    matches!(action, Action::Remove(_))
}

/// What becomes of each generation.
fn fate(action: &Action) -> Option<GenerationNumber> {
    match action {
        Action::Adopt(number)
        | Action::Drain(number)
        | Action::Stop(number)
        | Action::Await(number)
        | Action::Bury(number)
        | Action::Clear(number) => Some(*number),
        Action::Unlock(_)
        | Action::Forget(_)
        | Action::Interrupt(_)
        | Action::Complete(_)
        | Action::Enrol(_)
        | Action::Publish(_)
        | Action::Record(_)
        | Action::Remove(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_serves_goes_on_serving_and_everything_has_one_fate(sight in sights()) {
        let plan = at_start(&sight);
        let keeper_of = |number| {
            let rows = sight.generations.iter().map(|row| (row.number, row.keeper));
            rows.chain(sight.strangers.iter().map(|one| (one.number, one.keeper))).find(|(one, _)| *one == number).unwrap().1
        };
        let adopted: Vec<_> = plan.iter().filter_map(|action| match action {
            Action::Adopt(number) => Some(*number),
            _ => None,
        }).collect();
        prop_assert!(adopted.len() <= 1);
        if let Some(serves) = sight.leads_to.filter(|number| keeper_of(*number)) {
            prop_assert_eq!(&adopted, &[serves]);
        }
        let mut fates: Vec<_> = plan.iter().filter_map(fate).collect();
        fates.sort_unstable();
        let known = sight.generations.iter().map(|row| row.number);
        let known: Vec<_> = known.chain(sight.strangers.iter().map(|stranger| stranger.number)).collect();
        prop_assert_eq!(fates, known);
        for action in &plan {
            match action {
                Action::Adopt(number) | Action::Drain(number) | Action::Stop(number) | Action::Publish(number)
                | Action::Enrol(number) => prop_assert!(keeper_of(*number), "{:?}", action),
                Action::Await(number) | Action::Bury(number) | Action::Clear(number) => {
                    prop_assert!(!keeper_of(*number), "{:?}", action);
                }
                Action::Unlock(_) | Action::Forget(_) | Action::Interrupt(_) | Action::Complete(_) | Action::Record(_)
                | Action::Remove(_) => {}
            }
        }
    }

    #[test]
    fn a_generation_that_users_may_be_on_is_never_stopped(sight in sights()) {
        for action in at_start(&sight) {
            if let Action::Stop(number) = action {
                let row = sight.generations.iter().find(|row| row.number == number);
                prop_assert_eq!(row.map(|row| row.state), Some(GenerationState::Starting));
                prop_assert_ne!(sight.leads_to, Some(number));
            }
        }
    }

    #[test]
    fn each_open_deploy_ends_once_and_well_only_if_its_generation_is_the_one_that_users_are_sent_to(sight in sights()) {
        let mut ended = Vec::new();
        for action in at_start(&sight) {
            match action {
                Action::Interrupt(deploy) => ended.push(deploy),
                Action::Complete(swapped) => {
                    let row = sight.generations.iter().find(|row| row.deploy == swapped.deploy).unwrap();
                    let alone = sight.leads_to.is_none() && row.state == GenerationState::Live;
                    prop_assert!(alone || sight.leads_to == Some(row.number));
                    prop_assert_eq!(swapped.release, row.release);
                    ended.push(swapped.deploy);
                }
                _ => {}
            }
        }
        prop_assert_eq!(ended, sight.open);
    }

    #[test]
    fn releases_and_what_generations_were_started_from_stay_and_whatever_else_lies_there_goes(sight in sights()) {
        let plan = at_start(&sight);
        let (after, _) = carried_out(&sight, &plan);
        let started = sight.generations.iter().filter(|row| may_serve(&sight, row)).map(|row| row.release);
        let started = started.chain(sight.strangers.iter().filter_map(|stranger| stranger.release));
        let started: Vec<ReleaseNumber> = started.collect();
        let interrupted = |deploy| plan.contains(&Action::Interrupt(deploy));
        let kept = |one: &&Built| !interrupted(one.deploy) || started.contains(&one.number);
        let kept: Vec<Built> = sight.releases.iter().filter(kept).copied().collect();
        prop_assert!(kept.iter().all(|one| after.releases.contains(one)));
        let needed = started.iter().copied().chain(kept.iter().map(|one| one.number));
        let needed: Vec<String> = needed.map(|number| number.to_string()).collect();
        let (stay, _): (Vec<_>, Vec<_>) = sight.directories.iter().cloned().partition(|name| needed.contains(name));
        prop_assert_eq!(after.directories, stay);
    }

    /// Whoever is killed while he mends begins again, and whoever looks again finds nothing to do.
    #[test]
    fn a_plan_that_was_carried_out_in_part_or_whole_leads_to_rest(sight in sights(), share in 0..=100usize) {
        let plan = at_start(&sight);
        let part = &plan[..plan.len() * share / 100];
        let (between, _) = carried_out(&sight, part);
        let again = at_start(&between);
        let (after, held) = carried_out(&between, &again);
        let lost = |action: &Action| matches!(action, Action::Await(_));
        let rest = in_passing(&after, &held);
        prop_assert!(rest.iter().all(buried_too), "{:?}", rest);
        let third = at_start(&after).into_iter().filter(|action| !lost(action));
        let mended: Vec<_> = third.filter(|action| !buried_too(action)).filter_map(|action| action.mended()).collect();
        prop_assert_eq!(mended, [""; 0]);
    }

    #[test]
    fn later_what_the_worker_holds_is_left_alone_and_live_sock_set_right(sight in sights(), elsewhere in 0..12u32) {
        let (mut after, held) = carried_out(&sight, &at_start(&sight));
        after.leads_to = Some(GenerationNumber(elsewhere)).filter(|number| {
            after.generations.iter().any(|row| row.number == *number)
        });
        let mut plan = in_passing(&after, &held);
        plan.retain(|action| !buried_too(action));
        let serves = after.generations.iter().any(|row| Some(row.number) == held.live && row.keeper);
        let set_right = held.live.filter(|live| serves && after.leads_to != Some(*live));
        prop_assert_eq!(plan, set_right.map(Action::Publish).into_iter().collect::<Vec<_>>());
    }
}

fn built(number: u32, deploy: u32) -> Built {
    Built {
        number: ReleaseNumber(number),
        deploy: DeployNumber(deploy),
    }
}

fn row(number: u32, state: GenerationState, keeper: bool) -> Seen {
    Seen {
        number: GenerationNumber(number),
        release: ReleaseNumber(number + 10),
        deploy: DeployNumber(number + 20),
        state,
        keeper,
    }
}

#[test]
fn a_swap_that_was_not_written_down_is_recorded_and_what_it_replaced_drains() {
    let sight = Sight {
        generations: vec![
            row(2, GenerationState::Live, true),
            row(3, GenerationState::Starting, true),
        ],
        leads_to: Some(GenerationNumber(3)),
        open: vec![DeployNumber(23)],
        ..Sight::default()
    };
    let swapped = Swapped {
        deploy: DeployNumber(23),
        release: ReleaseNumber(13),
        previous: Some(ReleaseNumber(12)),
    };
    let expected = [
        Action::Complete(swapped),
        Action::Drain(GenerationNumber(2)),
        Action::Record(GenerationNumber(3)),
        Action::Adopt(GenerationNumber(3)),
    ];
    assert_eq!(at_start(&sight), expected);
}

#[test]
fn after_a_power_cut_what_was_live_is_awaited_and_the_rest_is_cleared_away() {
    let sight = Sight {
        generations: vec![
            row(2, GenerationState::Draining, false),
            row(3, GenerationState::Live, false),
            row(4, GenerationState::Starting, false),
        ],
        open: vec![DeployNumber(24)],
        releases: vec![built(13, 23), built(14, 24)],
        ..Sight::default()
    };
    let expected = [
        Action::Forget(ReleaseNumber(14)),
        Action::Interrupt(DeployNumber(24)),
        Action::Bury(GenerationNumber(2)),
        Action::Await(GenerationNumber(3)),
        Action::Bury(GenerationNumber(4)),
    ];
    assert_eq!(at_start(&sight), expected);
}

#[test]
fn after_a_power_cut_what_was_written_down_as_live_has_come_to_a_good_end() {
    let sight = Sight {
        generations: vec![
            row(2, GenerationState::Draining, false),
            row(3, GenerationState::Live, false),
        ],
        open: vec![DeployNumber(23)],
        releases: vec![built(12, 22), built(13, 23)],
        ..Sight::default()
    };
    let swapped = Swapped {
        deploy: DeployNumber(23),
        release: ReleaseNumber(13),
        previous: Some(ReleaseNumber(12)),
    };
    let expected = [
        Action::Complete(swapped),
        Action::Bury(GenerationNumber(2)),
        Action::Await(GenerationNumber(3)),
    ];
    assert_eq!(at_start(&sight), expected);
}

#[test]
fn a_name_that_somebody_has_removed_comes_back() {
    let sight = Sight {
        generations: vec![row(3, GenerationState::Live, true)],
        ..Sight::default()
    };
    let three = GenerationNumber(3);
    assert_eq!(
        at_start(&sight),
        [Action::Publish(three), Action::Adopt(three)]
    );
    let held = Held {
        live: Some(three),
        all: BTreeSet::from([three]),
    };
    assert_eq!(in_passing(&sight, &held), [Action::Publish(three)]);
}
