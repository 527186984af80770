//! Members in processes of their own, which are killed or stopped at any instant.

use super::{Random, check, entries, limits};
use crate::EndCause;
use crate::metrics::{Count, Recorder};
use crate::quota::lock::Holder;
use crate::quota::table::Table;
use crate::quota::{Quota, now};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 30;
const MEMBERS: u16 = 3;
const DEADLINE: Duration = Duration::from_secs(60);

/// The number of the member that a child is.
const VARIABLE: &str = "EVCONN_TEST_QUOTA_MEMBER";

/// A process that is a member.
struct Process(Child);

impl Process {
    /// Runs an ignored test of this binary, whose standard input is the memory.
    fn start(test: &str, quota: &Quota, member: u16) -> Self {
        let [memory, _] = quota.descriptors();
        let memory = memory.try_clone_to_owned().expect("a copy");
        let name = format!("quota::tests::processes::{test}");
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args([&name, "--exact", "--ignored", "--nocapture"])
            .env(VARIABLE, member.to_string())
            .stdin(Stdio::from(memory))
            .stdout(Stdio::piped())
            .spawn();
        let mut process = Self(child.expect("a process"));
        let output = process.0.stdout.take().expect("its output");
        // The harness leaves a line unfinished before.
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        assert!(
            lines.any(|line| line.ends_with("child: ready")),
            "it has begun"
        );
        process
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process"), signal).expect("it is there");
    }

    /// Kills it. It is to be alive until then: none of its checks has failed.
    fn kill(mut self) {
        self.signal(Signal::KILL);
        let status = self.0.wait().expect("a status");
        assert_eq!(status.signal(), Some(9), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The quota and the number of the member that this process is, if it is a child.
fn child() -> Option<(Quota, u16)> {
    let Ok(member) = std::env::var(VARIABLE) else {
        println!("skipped: this test is run by another one, in a process of its own");
        return None;
    };
    let memory = std::io::stdin().as_fd().try_clone_to_owned();
    // Nobody waits for this bell.
    let bell = eventfd(0, EventfdFlags::NONBLOCK).expect("a bell");
    let quota = Quota::open(memory.expect("the memory"), bell).expect("the quota");
    Some((quota, member.parse().expect("a number")))
}

/// Opens and closes connections until it is killed, and checks that nobody else has what it has.
#[test]
#[ignore = "a child of the test below"]
fn hammering() {
    let Some((quota, number)) = child() else {
        return;
    };
    let member = quota.join(number, CONNECTIONS * 2 / 3);
    let table = &quota.0.table;
    let mut random = Random(u64::from(number) ^ now());
    let mut had = Vec::new();
    println!("child: ready");
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        let before = had.len();
        member.take(random.below(6) as usize, &mut had);
        for &entry in &had[before..] {
            let mut session = table.lock(number);
            session.begin(number, entry, 0);
            let peer = u128::from(random.below(20));
            session.begin_handshake(number, entry, Some(peer));
            session.count_peer(number, entry, peer);
            if random.below(2) == 0 {
                session.end_handshake(number, entry);
            }
        }
        assert!(had.len() <= CONNECTIONS * 2 / 3);
        {
            let _session = table.lock(number);
            let entries = entries(table);
            for &entry in &had {
                let found = entries[entry as usize];
                assert!(
                    matches!(found, Some((owner, true, ..)) if owner == number),
                    "{found:?}"
                );
            }
            check(table);
        }
        let left = random.below(had.len() as u64 + 1) as usize;
        member.free(&had.split_off(left));
    }
}

#[test]
fn whenever_one_is_killed_the_counts_are_exact() {
    let quota = Quota::create(&limits(CONNECTIONS), None, MEMBERS).expect("a quota");
    let start = |member| Some(Process::start("hammering", &quota, member));
    let mut processes: Vec<_> = (0..MEMBERS).map(start).collect();
    let mut random = Random(1);
    for _ in 0..50 {
        let member = random.below(u64::from(MEMBERS)) as u16;
        // Any instant is as good as another.
        std::thread::sleep(Duration::from_micros(random.below(3_000)));
        let process = processes[usize::from(member)].take();
        process.expect("a process").kill();
        let had = quota.release(member);
        assert!(had <= CONNECTIONS);
        {
            let _session = quota.0.table.supervise();
            check(&quota.0.table);
            let all = entries(&quota.0.table);
            assert!(all.into_iter().flatten().all(|entry| entry.0 != member));
        }
        assert_eq!(quota.connections_of(member), 0);
        processes[usize::from(member)] = start(member);
    }
    for (member, process) in (0..).zip(processes) {
        process.expect("a process").kill();
        quota.release(member);
    }
    check(&quota.0.table);
    assert_eq!(quota.open_connections(), 0);
}

/// Counts until it is killed.
#[test]
#[ignore = "a child of the test below"]
fn counting() {
    let Some((quota, number)) = child() else {
        return;
    };
    let recorder = Recorder::new(quota.join(number, CONNECTIONS));
    println!("child: ready");
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        recorder.add(Count::Sent, 1);
        recorder.add(Count::Begun, 1);
        recorder.end(EndCause::Trap);
    }
}

#[test]
fn what_a_process_counted_is_neither_lost_nor_counted_twice_when_it_is_killed() {
    let quota = Quota::create(&limits(CONNECTIONS), None, MEMBERS).expect("a quota");
    let sent = |quota: &Quota| quota.0.table.counted().count(Count::Sent);
    let (same, has_ended) = (quota.clone(), Arc::new(AtomicBool::new(false)));
    let is_over = Arc::clone(&has_ended);
    // Somebody reads all the time.
    let reader = std::thread::spawn(move || {
        let mut last = 0;
        while !is_over.load(Ordering::Relaxed) {
            let now = sent(&same);
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    });
    for _ in 0..10 {
        let process = Process::start("counting", &quota, 1);
        let before = sent(&quota);
        while sent(&quota) < before + 1_000 {
            std::hint::spin_loop();
        }
        process.kill();
        let killed = quota.0.table.counted();
        quota.release(1);
        let mut expected = killed.clone();
        expected.end_all();
        assert_eq!(quota.0.table.counted(), expected);
        assert_eq!(
            quota.0.table.counted().count(Count::Sent),
            killed.count(Count::Sent)
        );
    }
    has_ended.store(true, Ordering::Relaxed);
    reader.join().expect("it has never read less");
}

/// Takes the lock, and keeps it.
#[test]
#[ignore = "a child of the test below"]
fn holding() {
    let Some((quota, number)) = child() else {
        return;
    };
    let _session = quota.0.table.lock(number);
    println!("child: ready");
    std::thread::sleep(DEADLINE);
}

#[test]
fn a_member_that_is_stopped_with_the_lock_is_noticed_and_the_others_go_on() {
    let quota = Quota::create(&limits(CONNECTIONS), None, MEMBERS).expect("a quota");
    let process = Process::start("holding", &quota, 1);
    process.signal(Signal::STOP);
    let Table { memory, .. } = &quota.0.table;
    assert_eq!(crate::quota::lock::holder(memory), Some(Holder::member(1)));
    let other = quota.join(0, 5);
    let waiting = std::thread::spawn(move || {
        let mut taken = Vec::new();
        other.take(5, &mut taken);
        taken.len()
    });
    let begin = Instant::now();
    let stuck = loop {
        match quota.stuck() {
            Some(member) => break member,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
        assert!(begin.elapsed() < DEADLINE, "nobody notices");
    };
    assert_eq!(stuck, 1);
    assert!(begin.elapsed() >= Duration::from_millis(500));
    process.kill();
    assert_eq!(quota.release(1), 0);
    assert_eq!(waiting.join().expect("no panic"), 5);
    assert_eq!(quota.stuck(), None);
    check(&quota.0.table);
}
