//! The last minutes: scrapes, and the values of charts that follow from them.

use super::openmetrics::Histogram;
use super::scrape::Scrape;
use super::series::{GROUPS, SERIES};
use std::collections::VecDeque;

/// How many seconds charts show.
pub const SPAN: f64 = 300.0;

/// How many seconds quantiles are of.
pub const LATENCY: f64 = 30.0;

/// Scrapes that are further apart are not joined. It is at least three intervals.
const GAP: f64 = 6.0;

/// The values of charts at a time, by group and series.
struct Point {
    time: f64,
    is_first: bool,
    values: [[Option<f64>; SERIES]; GROUPS.len()],
}

pub struct History {
    gap: f64,
    /// The newest last.
    scrapes: VecDeque<Scrape>,
    points: VecDeque<Point>,
}

impl History {
    /// Returns an empty one, of scrapes that are `interval` seconds apart.
    pub fn new(interval: f64) -> Self {
        Self {
            gap: GAP.max(3.0 * interval),
            scrapes: VecDeque::new(),
            points: VecDeque::new(),
        }
    }

    /// Adds a scrape. One of another server, or of one that counts from zero again, is not compared with those before.
    pub fn add(&mut self, mut scrape: Scrape, is_other: bool) {
        if is_other
            || self
                .newest()
                .is_some_and(|last| scrape.accepted < last.accepted)
        {
            self.scrapes.clear();
        }
        let last = self.newest().map(|last| last.time);
        scrape.is_first = last.is_none_or(|last| scrape.time - last > self.gap);
        let (time, is_first) = (scrape.time, scrape.is_first);
        self.scrapes.push_back(scrape);
        let value = |group: usize, series: usize| {
            let series: &super::series::Series = GROUPS[group].series.get(series)?;
            (series.value)(self)
        };
        let values = std::array::from_fn(|group| std::array::from_fn(|at| value(group, at)));
        self.points.push_back(Point {
            time,
            is_first,
            values,
        });
        let begin = time - SPAN - LATENCY;
        self.scrapes.retain(|old| old.time >= begin);
        self.points.retain(|old| old.time >= begin);
    }

    pub fn newest(&self) -> Option<&Scrape> {
        self.scrapes.back()
    }

    /// Returns the newest value of a series.
    pub fn latest(&self, group: usize, series: usize) -> Option<f64> {
        self.points.back()?.values[group][series]
    }

    /// Returns the oldest scrape that charts show.
    pub fn oldest_shown(&self) -> Option<&Scrape> {
        let begin = self.newest()?.time - SPAN;
        self.scrapes.iter().find(|scrape| scrape.time >= begin)
    }

    /// Returns the scrape that is so many seconds older than the newest one, or the oldest that nothing separates
    /// from it.
    fn earlier(&self, span: f64) -> Option<&Scrape> {
        let newest = self.newest()?;
        let mut found = newest;
        for scrape in self.scrapes.iter().rev() {
            found = scrape;
            // Scrapes are not exactly as far apart as they should be.
            if scrape.is_first || newest.time - scrape.time >= span - 0.5 {
                break;
            }
        }
        Some(found)
    }

    /// Returns how much a count grows per second, on the average of some seconds.
    pub fn rate(&self, count: fn(&Scrape) -> Option<f64>, span: f64) -> Option<f64> {
        let (newest, before) = (self.newest()?, self.earlier(span)?);
        let elapsed = newest.time - before.time;
        let grown = count(newest)? - count(before)?;
        (elapsed >= span * 0.75).then(|| grown / elapsed)
    }

    /// Estimates a quantile of what was observed in the last seconds.
    pub fn quantile(&self, histogram: fn(&Scrape) -> &Histogram, q: f64) -> Option<f64> {
        let before = self.earlier(LATENCY)?;
        quantile(q, histogram(before), histogram(self.newest()?))
    }

    /// Returns the times and values of a series, in stretches without a gap.
    pub fn stretches(&self, group: usize, series: usize) -> Vec<Vec<(f64, f64)>> {
        let mut stretches = vec![Vec::new()];
        for point in &self.points {
            let value = point.values[group][series];
            if point.is_first || value.is_none() {
                stretches.push(Vec::new());
            }
            if let (Some(value), Some(stretch)) = (value, stretches.last_mut()) {
                stretch.push((point.time, value));
            }
        }
        stretches.retain(|stretch| !stretch.is_empty());
        stretches
    }

    /// Returns the highest values of a series in as many stretches of time as there are columns, the last of which
    /// ends now.
    pub fn columns(&self, group: usize, series: usize, now: f64, count: usize) -> Vec<Option<f64>> {
        let mut columns = vec![None; count];
        // Columns begin at multiples of their width, so that a value stays in its column. None is narrower than the
        // time between two scrapes.
        let width = (SPAN / count as f64).max(self.gap / 3.0);
        let column_of = |time: f64| (time / width).floor();
        for stretch in self.stretches(group, series) {
            let mut last = None;
            for (time, value) in stretch {
                // One in which there was no scrape has the value of the next one.
                let first = last.map_or(column_of(time), |last| column_of(last) + 1.0);
                let first = first.min(column_of(time)) as i64;
                for column in first..=column_of(time) as i64 {
                    let back = column_of(now) as i64 - column;
                    let index = usize::try_from(back)
                        .ok()
                        .and_then(|back| count.checked_sub(back + 1));
                    if let Some(shown) = index.map(|index| &mut columns[index]) {
                        *shown = Some(value.max(shown.unwrap_or(value)));
                    }
                }
                last = Some(time);
            }
        }
        columns
    }
}

/// Estimates a quantile of what was observed between two times, as Prometheus does: linear within a bucket. `None` if
/// there was nothing.
pub fn quantile(q: f64, before: &Histogram, after: &Histogram) -> Option<f64> {
    let earlier = |at: usize| before.get(at).map_or(0.0, |(_, count)| *count);
    let counts = after.iter().enumerate();
    let counts: Vec<_> = counts
        .map(|(at, (bound, count))| (*bound, count - earlier(at)))
        .collect();
    let all = counts
        .last()
        .map(|(_, count)| *count)
        .filter(|all| *all > 0.0)?;
    let at = counts.iter().position(|(_, count)| *count >= q * all)?;
    let (upper, count) = counts[at];
    let (lower, below) = match at {
        0 => (0.0, 0.0),
        at => counts[at - 1],
    };
    Some(match upper.is_finite() {
        true => lower + (upper - lower) * (q * all - below) / (count - below),
        false => lower,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(time: f64, accepted: f64) -> Scrape {
        let accepted = Some(accepted);
        Scrape {
            time,
            accepted,
            ..Scrape::default()
        }
    }

    fn rate(history: &History) -> Option<f64> {
        history.rate(|scrape| scrape.accepted, 4.0)
    }

    #[test]
    fn a_rate_is_of_the_last_seconds() {
        let mut history = History::new(1.0);
        let mut rates = Vec::new();
        for (time, accepted) in [
            (0.0, 10.0),
            (1.0, 14.0),
            (2.1, 14.0),
            (3.0, 20.0),
            (4.0, 50.0),
            (5.0, 54.0),
        ] {
            history.add(scrape(time, accepted), false);
            rates.push(rate(&history));
        }
        assert_eq!(
            rates,
            [None, None, None, Some(10.0 / 3.0), Some(10.0), Some(10.0)]
        );
    }

    #[test]
    fn a_gap_and_another_server_begin_anew() {
        let mut history = History::new(1.0);
        for (time, accepted) in [(0.0, 0.0), (4.0, 40.0)] {
            history.add(scrape(time, accepted), false);
        }
        assert_eq!(rate(&history), Some(10.0));
        history.add(scrape(14.0, 50.0), false);
        assert_eq!(rate(&history), None);
        history.add(scrape(18.0, 90.0), false);
        assert_eq!(rate(&history), Some(10.0));
        history.add(scrape(19.0, 90.0), true);
        assert_eq!(rate(&history), None);
        history.add(scrape(20.0, 0.0), false);
        assert_eq!(rate(&history), None);
        assert_eq!(history.scrapes.len(), 1);
        let lines = history.stretches(0, 0);
        assert_eq!(lines, [vec![(4.0, 10.0)], vec![(18.0, 10.0)]]);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut history = History::new(1.0);
        for second in 0..2000 {
            history.add(scrape(f64::from(second), 0.0), false);
        }
        assert_eq!(history.scrapes.len(), (SPAN + LATENCY) as usize + 1);
        assert_eq!(history.points.len(), history.scrapes.len());
        assert_eq!(
            history.oldest_shown().map(|oldest| oldest.time),
            Some(1999.0 - SPAN)
        );
    }

    #[test]
    fn columns_have_the_highest_values_of_their_time() {
        let mut history = History::new(1.0);
        // Of the open connections.
        for (time, open) in [
            (250.0, 7.0),
            (258.0, 9.0),
            (259.0, 2.0),
            (261.0, 3.0),
            (290.0, 4.0),
            (295.0, 5.0),
        ] {
            history.add(
                Scrape {
                    open: Some(open),
                    ..scrape(time, 0.0)
                },
                false,
            );
        }
        let shown = history.columns(1, 0, 299.0, 10);
        let none = [None; 8].to_vec();
        assert_eq!(shown, [none, vec![Some(9.0), Some(5.0)]].concat());
        let shown = history.columns(1, 0, 329.0, 10);
        assert_eq!(shown[6..], [None, Some(9.0), Some(5.0), None]);
        assert!(history.columns(1, 0, 299.0, 0).is_empty());
    }

    #[test]
    fn slow_scrapes_leave_no_holes() {
        let mut history = History::new(10.0);
        for second in [0.0, 10.1, 19.9, 31.0] {
            history.add(
                Scrape {
                    open: Some(1.0),
                    ..scrape(second, 0.0)
                },
                false,
            );
        }
        assert_eq!(history.columns(1, 0, 31.0, 300)[296..], [Some(1.0); 4]);
    }

    #[test]
    fn a_quantile_is_estimated_within_its_bucket() {
        let after = vec![(1.0, 10.0), (2.0, 30.0), (f64::INFINITY, 40.0)];
        assert_eq!(quantile(0.5, &Vec::new(), &after), Some(1.5));
        assert_eq!(quantile(0.99, &Vec::new(), &after), Some(2.0));
        let before = vec![(1.0, 10.0), (2.0, 10.0), (f64::INFINITY, 20.0)];
        assert_eq!(quantile(0.5, &before, &after), Some(1.5));
        assert_eq!(quantile(0.5, &after, &after), None);
        assert_eq!(quantile(0.5, &Vec::new(), &Vec::new()), None);
    }
}
