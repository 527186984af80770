//! Good connections, in a process of their own: each sends a message at fixed times, whether or not the last
//! one has been answered, and checks every byte of the echo. One thread waits for all of them.

use super::act::Front;
use super::helper::{Helper, say};
use super::line::Line;
use super::window::Window;
use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, read, retry_on_intr};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The subcommand of this program that is these clients. For the benchmark itself only.
pub const SUBCOMMAND: &str = "good-connections";

/// How many there are.
pub const CONNECTIONS: u32 = 100;

/// How often each of them sends a message.
const PERIOD: Duration = Duration::from_millis(20);

/// How long after the end of a measurement an answer may come.
const PATIENCE: Duration = Duration::from_secs(3);

/// The event data of what is no connection.
const CLOCK: u64 = u64::MAX;
const INPUT: u64 = u64::MAX - 1;

/// Starts them, and waits until each has had an answer.
pub fn start(server: SocketAddr, front: Front) -> Result<Helper> {
    let arguments = [server.to_string(), serde_json::to_string(&front)?];
    let mut helper = Helper::start(SUBCOMMAND, arguments)?;
    ensure!(helper.hear::<bool>()?, "not all connections are served");
    Ok(helper)
}

/// Runs the connections. The arguments are the server's address, and what is in front of its service. Each line of
/// standard input is a number of milliseconds to measure, after which the result is reported.
pub fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let server = arguments.next().context("no server")?.parse()?;
    let front = arguments.next().context("no front")?;
    let front = serde_json::from_str(&front)?;
    // Otherwise a busy core would delay the client, and it would look like the server.
    super::priority::raise();
    let mut good = Good::connect(server, front)?;
    say(&true)?;
    good.run()
}

struct Good {
    server: SocketAddr,
    front: Front,
    lines: Vec<Line>,
    epoll: OwnedFd,
    clock: OwnedFd,
    /// When the first message was due.
    begin: Instant,
    /// How many messages were due so far.
    due: u64,
    window: Option<Window>,
}

impl Good {
    fn connect(server: SocketAddr, front: Front) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let clock = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, &clock, EventData::new_u64(CLOCK), EventFlags::IN)?;
        let input = std::io::stdin();
        epoll::add(&epoll, input, EventData::new_u64(INPUT), EventFlags::IN)?;
        let mut good = Self {
            server,
            front,
            lines: Vec::new(),
            epoll,
            clock,
            begin: Instant::now(),
            due: 0,
            window: None,
        };
        for number in 0..CONNECTIONS {
            let line = good.open(number)?;
            good.lines.push(line);
        }
        good.restart()?;
        Ok(good)
    }

    fn open(&self, number: u32) -> Result<Line> {
        let line = Line::open(self.server, self.front, number)?;
        let data = EventData::new_u64(number.into());
        epoll::add(&self.epoll, line.socket(), data, EventFlags::IN)?;
        Ok(line)
    }

    /// Begins the schedule, with the next message of the first connection.
    fn restart(&mut self) -> Result<()> {
        let each = Timespec::try_from(PERIOD / CONNECTIONS)?;
        let times = Itimerspec {
            it_interval: each,
            it_value: each,
        };
        timerfd_settime(&self.clock, TimerfdTimerFlags::empty(), &times)?;
        (self.begin, self.due) = (Instant::now() + PERIOD / CONNECTIONS, 0);
        Ok(())
    }

    /// Returns at the end of standard input.
    fn run(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        loop {
            retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), None))?;
            for Event { data, .. } in events.drain(..) {
                match data.u64() {
                    CLOCK => self.send_what_is_due()?,
                    INPUT => match self.command()? {
                        Some(duration) => self.measure(duration)?,
                        None => return Ok(()),
                    },
                    number => self.receive(number as usize),
                }
            }
            self.report_if_complete()?;
        }
    }

    fn send_what_is_due(&mut self) -> Result<()> {
        let mut count = [0; 8];
        match read(&self.clock, &mut count) {
            Err(Errno::AGAIN) => return Ok(()),
            read => read?,
        };
        for _ in 0..u64::from_ne_bytes(count) {
            let scheduled = self.begin + (PERIOD / CONNECTIONS) * u32::try_from(self.due)?;
            let line = &mut self.lines[(self.due % u64::from(CONNECTIONS)) as usize];
            self.due += 1;
            line.send(scheduled);
            if let Some(window) = &mut self.window {
                window.sent(scheduled);
            }
        }
        Ok(())
    }

    fn receive(&mut self, number: usize) {
        let now = Instant::now();
        let line = &mut self.lines[number];
        for scheduled in line.receive() {
            if let Some(window) = &mut self.window {
                window.answered(scheduled, now);
            }
        }
        if line.failure().is_some() {
            // If it is not registered any more, it is not heard of any more either.
            let _ = epoll::delete(&self.epoll, line.socket());
        }
    }

    /// Reads how long to measure, unless it is the end.
    fn command(&self) -> Result<Option<Duration>> {
        let mut buffer = [0; 64];
        let count = read(std::io::stdin(), &mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        let text = str::from_utf8(&buffer[..count])?.trim_end();
        let millis = text.parse().with_context(|| format!("{text:?}"))?;
        Ok(Some(Duration::from_millis(millis)))
    }

    /// Begins a measurement. Connections that have failed are replaced before.
    fn measure(&mut self, duration: Duration) -> Result<()> {
        for number in 0..CONNECTIONS {
            if self.lines[number as usize].failure().is_some() {
                self.lines[number as usize] = self.open(number)?;
            }
        }
        self.restart()?;
        self.window = Some(Window::new(self.begin, duration));
        Ok(())
    }

    fn report_if_complete(&mut self) -> Result<()> {
        let now = Instant::now();
        let is_complete = |window: &mut Window| window.is_complete(now, PATIENCE);
        let Some(window) = self.window.take_if(is_complete) else {
            return Ok(());
        };
        let failures = self.lines.iter().filter_map(Line::failure);
        say(&window.result(failures))
    }
}
