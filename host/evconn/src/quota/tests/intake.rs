//! What acceptors of several processes take, and how they wait.

use super::{check, opened, quota};
use crate::quota::{Intake, Permit, Quota, Share};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);
const TURN: NonZeroU32 = NonZeroU32::new(64).expect("not 0");

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let output = tokio::time::timeout(DEADLINE, future).await;
    output.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// An acceptor of another process.
fn intake(quota: &Quota, member: u16, capacity: usize) -> Intake {
    Intake::new(opened(quota).join(member, capacity))
}

fn begin(intake: &mut Intake) -> Permit {
    let permit = intake.one().expect("a permit");
    permit.begin();
    permit
}

/// Waits until the acceptor may take something.
async fn until_filled(intake: &mut Intake) -> u32 {
    loop {
        match intake.fill(TURN) {
            Share::UpTo(count) => return count,
            Share::Later(until) => intake.pause(until).await,
            Share::None => within("a permit", intake.wait()).await,
        }
    }
}

#[tokio::test]
async fn what_one_process_gives_back_wakes_another() {
    let quota = quota(2, 2);
    let (mut one, mut other) = (intake(&quota, 0, 2), intake(&quota, 1, 2));
    for _ in 0..100 {
        assert!(until_filled(&mut one).await > 0);
        let permits = [begin(&mut one), begin(&mut one)];
        assert_eq!(other.fill(TURN), Share::None);
        let give_back = async { drop(permits) };
        let ((), count) = tokio::join!(give_back, until_filled(&mut other));
        assert!(count > 0);
        other.give_back();
        one.give_back();
    }
    check(&quota.0.table);
}

/// On threads of their own: one waits and the other gives back, at the same time.
#[test]
fn no_wake_up_is_lost() {
    const ROUNDS: usize = 5_000;
    let quota = quota(1, 4);
    std::thread::scope(|scope| {
        for member in 0..4 {
            let quota = &quota;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let mut intake = intake(quota, member, 1);
                    for _ in 0..ROUNDS {
                        until_filled(&mut intake).await;
                        intake.give_back();
                        tokio::task::yield_now().await;
                    }
                });
            });
        }
    });
    check(&quota.0.table);
}

#[tokio::test]
async fn a_member_that_is_full_waits_for_its_own_and_others_go_on() {
    let quota = quota(10, 2);
    let (mut one, mut other) = (intake(&quota, 0, 2), intake(&quota, 1, 10));
    until_filled(&mut one).await;
    let permits = [begin(&mut one), begin(&mut one)];
    assert_eq!(one.fill(TURN), Share::None);
    assert!(until_filled(&mut other).await > 0);
    // It is not one that others leave connections to.
    let many: Vec<_> = (0..8).map(|_| begin(&mut other)).collect();
    assert_eq!(other.fill(TURN), Share::None);
    let give_back = async { drop(permits) };
    let ((), count) = tokio::join!(give_back, until_filled(&mut one));
    assert!(count > 0);
    drop(many);
}

#[tokio::test]
async fn whoever_has_more_lets_others_go_first_for_a_moment() {
    let quota = quota(100, 2);
    let (mut one, mut other) = (intake(&quota, 0, 100), intake(&quota, 1, 100));
    // Nobody else accepts.
    assert_eq!(one.fill(TURN), Share::UpTo(64));
    let mut permits: Vec<_> = (0..4).map(|_| begin(&mut one)).collect();
    one.give_back();
    // The other one accepts now, and has none.
    assert_eq!(other.fill(TURN), Share::UpTo(5));
    let before = Instant::now();
    let Share::Later(until) = one.fill(TURN) else {
        panic!("it did not wait");
    };
    assert!(until <= before + Duration::from_millis(100));
    tokio::time::sleep_until(until.into()).await;
    // The other one may be stopped.
    assert_eq!(one.fill(TURN), Share::UpTo(8));
    one.give_back();
    let Share::Later(until) = one.fill(TURN) else {
        panic!("it did not wait again");
    };
    // Its time is over early if one of its own ends; but not by that alone.
    permits.pop();
    within("an end", one.pause(until + DEADLINE)).await;
    assert!(
        matches!(one.fill(TURN), Share::Later(same) if same == until || Instant::now() >= until)
    );
    permits.truncate(1);
    assert_eq!(one.fill(TURN), Share::UpTo(1));
    // A member that does not accept does not count.
    drop(other);
    assert_eq!(one.fill(TURN), Share::UpTo(64));
}
