use super::*;
use crate::Quota;
use crate::quota::Intake;
use tokio::sync::oneshot::error::TryRecvError;

const ALL: usize = 8;
const PER_PEER: usize = 4;

/// A process.
struct Process {
    handshakes: Handshakes,
    intake: Intake,
}

type Begun<'a> = (UnderWay<'a>, oneshot::Receiver<Crowded>);

/// Two processes with one quota, both of which accept.
fn processes() -> [Process; 2] {
    let limits = Limits {
        max_handshakes: Some(ALL),
        max_handshakes_per_peer: Some(PER_PEER),
        ..Limits::default()
    };
    let quota = Quota::create(&limits, None, 2).expect("a quota");
    [0, 1].map(|number| {
        let member = quota.join(number, 100);
        let mut intake = Intake::new(member.clone());
        drop(intake.one().expect("a permit"));
        Process {
            handshakes: Handshakes::new(&Limits::default(), &PermitSource::Shared(member)),
            intake,
        }
    })
}

fn ip(peer: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, peer])
}

impl Process {
    /// Takes a permit for each connection.
    fn permits(&mut self, count: usize) -> Vec<Arc<Permit>> {
        let permits = (0..count).map(|_| self.intake.one().expect("a permit"));
        permits
            .inspect(|permit| _ = permit.begin())
            .map(|permit| Arc::new(Permit::Shared(permit)))
            .collect()
    }

    fn begin(&self, peer: u8, permits: Vec<Arc<Permit>>) -> Vec<Begun<'_>> {
        let begin = |permit| self.handshakes.begin(Some(ip(peer)), Some(permit));
        permits.into_iter().map(begin).collect()
    }

    /// What a handshake does that lasts.
    fn notice(&self, peer: u8) {
        let handshakes = &self.handshakes;
        handshakes.end_excess(&mut handshakes.state(), Some(ip(peer)), 0);
    }

    fn in_all(&self) -> usize {
        let all = self.handshakes.permits.handshakes(None);
        all.expect("a quota")
    }
}

fn left(begun: &mut [Begun<'_>]) -> usize {
    let is_left = |cut: &mut oneshot::Receiver<_>| cut.try_recv() == Err(TryRecvError::Empty);
    begun
        .iter_mut()
        .filter_map(|(_, cut)| is_left(cut).then_some(()))
        .count()
}

#[test]
fn one_process_may_have_all_of_a_peer() {
    let [mut one, _other] = processes();
    let permits = one.permits(PER_PEER + 1);
    let mut begun = one.begin(1, permits);
    assert_eq!(left(&mut begun), PER_PEER);
}

#[test]
fn those_of_a_peer_are_counted_in_all_processes() {
    let [mut one, mut other] = processes();
    let (first, second) = (one.permits(PER_PEER), other.permits(PER_PEER));
    let more = other.permits(PER_PEER / 2);
    let mut first = one.begin(1, first);
    let mut second = other.begin(1, second);
    // This one has no more than its share. The first one notices that it has more.
    assert_eq!(left(&mut second), PER_PEER / 2);
    assert_eq!(left(&mut first), PER_PEER);
    one.notice(1);
    assert_eq!(left(&mut first), PER_PEER / 2);
    other.notice(1);
    assert_eq!(left(&mut second), PER_PEER / 2);
    drop(first);
    // It may have the first one's share, too.
    let mut more = other.begin(1, more);
    assert_eq!(left(&mut second) + left(&mut more), PER_PEER);
}

#[test]
fn a_process_does_not_end_the_few_that_it_has_because_of_those_in_others() {
    let [mut one, mut other] = processes();
    let (first, second) = (one.permits(PER_PEER), one.permits(PER_PEER));
    let (mut first, mut second) = (one.begin(1, first), one.begin(2, second));
    let honest = other.permits(2);
    let mut honest = other.begin(3, honest);
    assert_eq!(left(&mut honest), 2);
    assert_eq!(one.in_all(), ALL + 2);
    one.notice(1);
    assert_eq!(left(&mut first) + left(&mut second), ALL - 2);
    assert_eq!(left(&mut honest), 2);
    assert_eq!(one.in_all(), ALL);
    drop((first, second, honest));
    assert_eq!(one.in_all(), 0);
}
