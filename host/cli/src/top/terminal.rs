//! The terminal: opened, drawn to, and restored, whatever happens.

use super::app::{Action, App};
use super::client::{Change, Client};
use super::model::Answer;
use super::poll::{Wanted, poll};
use super::view::{self, Palette, Scene, Scroll};
use crate::sys::signals::{self, Stops};
use anyhow::Context;
use crossterm::event::{Event, EventStream};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, enable_raw_mode};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use std::io::stdout;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long nothing may be drawn: the times that are shown go on.
const REFRESH: Duration = Duration::from_secs(1);

/// The terminal as this command uses it. It is as it was when this is dropped, and when a panic is reported.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> anyhow::Result<Self> {
        let opened = ratatui::try_init().inspect_err(|_| restore());
        opened.map(Self).context("the terminal cannot be used")
    }

    fn draw(&mut self, view: &mut View) -> anyhow::Result<()> {
        let now = view.now();
        let View {
            app,
            scroll,
            palette,
            ..
        } = view;
        let scene = Scene {
            app,
            palette: *palette,
            now,
        };
        let drawn = self.0.draw(|frame| view::draw(frame, scene, scroll));
        drawn.context("cannot draw on the terminal")?;
        Ok(())
    }

    fn clear(&mut self) -> anyhow::Result<()> {
        self.0.clear().context("cannot draw on the terminal")
    }

    /// Gives the terminal back until the process is continued.
    fn suspend(&mut self) -> anyhow::Result<()> {
        self.0.show_cursor()?;
        restore();
        signals::suspend().context("cannot suspend")?;
        enable_raw_mode().context("the terminal cannot be used")?;
        execute!(stdout(), EnterAlternateScreen).context("cannot draw on the terminal")?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // The terminal may be gone.
    let _ = ratatui::try_restore();
}

/// What is shown, and since when.
struct View {
    app: App,
    scroll: Scroll,
    palette: Palette,
    begin: Instant,
}

impl View {
    fn now(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }
}

/// The other side of the view: the server.
struct Server {
    client: Client,
    wanted: watch::Sender<Wanted>,
    outcomes: mpsc::Sender<(Change, bool, String)>,
    tasks: JoinSet<()>,
}

impl Server {
    fn change(&mut self, change: Change) {
        let (client, outcomes) = (self.client.clone(), self.outcomes.clone());
        self.tasks.spawn(async move {
            let (is_done, text) = client.change(&change).await;
            // Whoever has asked may have quit.
            let _ = outcomes.send((change, is_done, text)).await;
        });
    }
}

/// Shows a server until the user quits or a signal ends the process.
///
/// # Errors
/// If the terminal cannot be used.
pub async fn show(client: Client, app: App) -> anyhow::Result<()> {
    let mut stops = Stops::watch().context("cannot watch for signals")?;
    let (wanted, watched) = watch::channel(app.wanted());
    let (outcomes, mut finished) = mpsc::channel(1);
    let (answered, mut answers) = mpsc::channel::<anyhow::Result<Answer>>(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(poll(client.clone(), app.interval, watched, answered));
    let mut server = Server {
        client,
        wanted,
        outcomes,
        tasks,
    };
    let (scroll, palette) = (Scroll::default(), Palette::of_environment());
    let mut view = View {
        app,
        scroll,
        palette,
        begin: Instant::now(),
    };
    let mut screen = Screen::open()?;
    let mut events = EventStream::new();
    loop {
        screen.draw(&mut view)?;
        tokio::select! {
            () = stops.next() => return Ok(()),
            event = events.next() => {
                let Some(event) = event.transpose().context("cannot read from the terminal")? else {
                    return Ok(());
                };
                if on_event(event, &mut view, &mut screen, &mut server)?.is_break() {
                    return Ok(());
                }
            }
            Some(answer) = answers.recv() => view.app.on_answer(view.now(), answer),
            Some((change, is_done, text)) = finished.recv() => {
                view.app.on_outcome(&change, is_done, text);
                // What it has changed is shown at once.
                server.wanted.send_replace(view.app.wanted());
            }
            // Requests end without being asked to if they panic, which has been reported.
            Some(ended) = server.tasks.join_next() => ended.context("a request has failed")?,
            () = sleep(REFRESH) => {}
        }
    }
}

fn on_event(
    event: Event,
    view: &mut View,
    screen: &mut Screen,
    server: &mut Server,
) -> anyhow::Result<ControlFlow<()>> {
    let Event::Key(key) = event else {
        // The size is read when it is drawn.
        return Ok(ControlFlow::Continue(()));
    };
    match view.app.on_key(key, view.scroll.page) {
        None => {}
        Some(Action::Quit) => return Ok(ControlFlow::Break(())),
        Some(Action::Redraw) => screen.clear()?,
        Some(Action::Suspend) => screen.suspend()?,
        Some(Action::Change(change)) => server.change(change),
    }
    let wanted = view.app.wanted();
    server.wanted.send_if_modified(|current| {
        let is_other = *current != wanted;
        *current = wanted;
        is_other
    });
    Ok(ControlFlow::Continue(()))
}
