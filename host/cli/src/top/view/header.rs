//! The first line: which server it is, and its state; and a line about what is wrong.

use super::Scene;
use super::palette::Look;
use crate::top::model::{age, whole};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

pub fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let Scene { app, palette, .. } = scene;
    let status = &app.answer.status;
    let (state, look) = state(scene);
    let right = match app.is_paused {
        true => palette.span(" paused ", Look::WarnBox),
        false => palette.span(
            format!("every {} s ", app.interval.as_secs_f64()),
            Look::Dim,
        ),
    };
    let parts = [
        palette.span(" evconn ", Look::Strong),
        palette.span(format!(" {state} "), look),
        format!(" {}", app.address).into(),
        palette.span(format!("  up {}", age(status.age)), Look::Dim),
        palette.span(format!("  version {}", status.version), Look::Dim),
    ];
    // That it is paused has to be said.
    let reserved = if app.is_paused { right.width() } else { 0 };
    let width = usize::from(area.width);
    let mut line = Line::default();
    for part in parts {
        if line.width() + part.width() + reserved > width {
            break;
        }
        line.push_span(part);
    }
    let fits = line.width() + right.width() <= width;
    frame.render_widget(line, area);
    if fits {
        frame.render_widget(Line::from(right).right_aligned(), area);
    }
}

fn state(Scene { app, now, .. }: Scene<'_>) -> (String, Look) {
    if app.trouble.is_some() || app.is_overdue(now) {
        return (
            format!("no answer for {}", age(now - app.answered)),
            Look::BadBox,
        );
    }
    let look = match &*app.answer.status.state {
        "ready" => Look::GoodBox,
        "no-worker" => Look::BadBox,
        _ => Look::WarnBox,
    };
    let name = match &*app.answer.status.state {
        "no-worker" => "no worker",
        "ending" => "draining",
        state => state,
    };
    (name.to_owned(), look)
}

/// Returns what has to be known before the rest is read, if there is anything.
pub fn notice(Scene { app, now, .. }: Scene<'_>) -> Option<(String, Look)> {
    let status = &app.answer.status;
    if let Some(trouble) = &app.trouble {
        let was_ending = if &*status.state == "ending" {
            " It was draining."
        } else {
            ""
        };
        let since = age(now - app.answered);
        return Some((
            format!("No answer for {since}: {trouble}.{was_ending} Trying again."),
            Look::Bad,
        ));
    }
    let open = app.answer.connections.open;
    match &*status.state {
        "starting" => Some(("The server is starting.".to_owned(), Look::Warn)),
        "no-worker" => Some((
            "No worker accepts connections: others are about to be started.".to_owned(),
            Look::Bad,
        )),
        "ending" => {
            let text = format!(
                "The server ends when its {} open connections have finished.",
                whole(open)
            );
            Some((text, Look::Warn))
        }
        _ => silent(&app.answer.connections.missing),
    }
}

fn silent(missing: &[u64]) -> Option<(String, Look)> {
    let numbers: Vec<_> = missing.iter().map(u64::to_string).collect();
    let text = format!(
        "No answer from worker {}: its connections are not listed.",
        numbers.join(", ")
    );
    (!missing.is_empty()).then_some((text, Look::Warn))
}
