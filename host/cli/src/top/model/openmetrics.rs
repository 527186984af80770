//! Metrics, as OpenMetrics text has them. Lines that are no samples are ignored: what others say of a metric is not
//! needed.

use super::plain;
use std::collections::BTreeMap;

/// The samples of each name.
#[derive(Debug, Default)]
pub struct Families(BTreeMap<String, Vec<Sample>>);

#[derive(Debug)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The cumulative counts of a histogram, by their upper bounds.
pub type Histogram = Vec<(f64, f64)>;

impl Families {
    pub fn parse(text: &str) -> Self {
        let mut families = BTreeMap::<_, Vec<_>>::new();
        for (name, sample) in text.lines().filter_map(parse_line) {
            families.entry(name.to_owned()).or_default().push(sample);
        }
        Self(families)
    }

    fn samples(&self, name: &str) -> &[Sample] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns the sum of the samples with these labels; a sample without such a label, such as the name of a service
    /// where none has a name, has it. `None` if there is no sample.
    pub fn sum_of(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample, (label, value): &(&str, &str)| {
            sample.labels.get(*label).is_none_or(|found| found == value)
        };
        let samples = self.samples(name).iter();
        let mut found = samples
            .filter(|sample| labels.iter().all(|label| has(sample, label)))
            .map(|sample| sample.value)
            .peekable();
        found.peek()?;
        Some(found.sum())
    }

    /// Returns the sum of all samples.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.sum_of(name, &[])
    }

    /// Returns the sum for each value of a label.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for Sample { labels, value } in self.samples(name) {
            if let Some(of) = labels.get(label) {
                *sums.entry(of.clone()).or_default() += value;
            }
        }
        sums
    }

    pub fn histogram(&self, name: &str) -> Histogram {
        let counts = self.by(&format!("{name}_bucket"), "le");
        let bounds = counts.into_iter();
        let mut histogram: Histogram = bounds
            .filter_map(|(bound, count)| Some((number(&bound)?, count)))
            .collect();
        histogram.sort_by(|a, b| a.0.total_cmp(&b.0));
        histogram
    }
}

/// Parses `name{label="value",…} value`, after which there may be more.
fn parse_line(line: &str) -> Option<(&str, Sample)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with('#') {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(labels) => parse_labels(labels)?,
        None => (BTreeMap::new(), rest),
    };
    let value = number(rest.split_whitespace().next()?)?;
    Some((name, Sample { labels, value }))
}

/// Parses labels up to the brace that ends them. Returns what follows, too.
fn parse_labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = parse_value(rest)?;
        labels.insert(name.to_owned(), plain(&value));
        text = rest;
    }
}

/// Parses a value up to its quotation mark, in which a backslash escapes.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (index, '"') => return Some((value, &text[index + 1..])),
            (_, '\\') => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            (_, character) => value.push(character),
        }
    }
}

/// Parses a number, which may be `+Inf`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| !value.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP evconn_connections_open Connections.
# TYPE evconn_connections_open gauge
evconn_connections_open 3
ended_total{cause="done",service="a"} 5 1700000000
ended_total{cause="done",service="b"} 2
ended_total{service="b",cause="tr\"a\\p\n}"} 1 # {trace="x"} 1
lag_seconds_bucket{le="+Inf"} 9
lag_seconds_bucket{le="0.5"} 4
lag_seconds_bucket{le="0.001"} 1
broken{ 4
broken
broken{a="b} 4
broken NaN
# EOF
"#;

    #[test]
    fn samples_are_summed_by_labels() {
        let families = Families::parse(TEXT);
        assert_eq!(families.sum("evconn_connections_open"), Some(3.0));
        assert_eq!(families.sum("ended_total"), Some(8.0));
        assert_eq!(families.sum("ended"), None);
        assert_eq!(families.sum("broken"), None);
        assert_eq!(
            families.sum_of("ended_total", &[("service", "b")]),
            Some(3.0)
        );
        assert_eq!(families.sum_of("ended_total", &[("service", "c")]), None);
        let open = families.sum_of("evconn_connections_open", &[("service", "b")]);
        assert_eq!(open, Some(3.0));
        let by = families.by("ended_total", "cause");
        let by: Vec<_> = by.iter().map(|(cause, count)| (&**cause, *count)).collect();
        assert_eq!(by, [("done", 7.0), ("tr\"a\\p\u{fffd}}", 1.0)]);
    }

    #[test]
    fn the_buckets_of_a_histogram_are_in_order() {
        let lag = Families::parse(TEXT).histogram("lag_seconds");
        assert_eq!(lag, [(0.001, 1.0), (0.5, 4.0), (f64::INFINITY, 9.0)]);
    }
}
