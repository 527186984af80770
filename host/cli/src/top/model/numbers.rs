//! Numbers for people, short enough for a column.

/// Returns a number with three significant digits.
fn digits(value: f64) -> String {
    if value > 0.0 && value < 0.01 {
        return "<0.01".to_owned();
    }
    let decimals = match value {
        _ if value.fract() == 0.0 || value >= 99.95 => 0,
        _ if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

fn scaled(mut value: f64, base: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next();
    while value >= base * 0.9995
        && let Some(larger) = units.next()
    {
        value /= base;
        unit = Some(larger);
    }
    format!("{}{}", digits(value), unit.unwrap_or(&""))
}

/// Returns a count, such as `1.25k`.
pub fn quantity(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G"])
}

/// Returns a number of bytes, such as `1.25 MiB`.
pub fn bytes(value: f64) -> String {
    scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

/// Returns CPU time per time.
pub fn cores(value: f64) -> String {
    let unit = if value == 1.0 { "core" } else { "cores" };
    format!("{} {unit}", digits(value))
}

/// Returns a short duration, such as `12.5 ms`.
pub fn seconds(value: f64) -> String {
    match value {
        _ if value >= 60.0 => age(value),
        _ if value >= 0.9995 || value == 0.0 => format!("{} s", digits(value)),
        _ => scaled(value * 1e6, 1000.0, &[" µs", " ms"]),
    }
}

/// Returns a duration in its two largest units, such as `1h03m`.
pub fn age(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}s");
    }
    // Saturates, and has no sign.
    let whole = value as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..86400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86400, whole / 3600 % 24),
    }
}

/// Returns a whole number with separators, such as `1,250,000`.
pub fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.001, 0.5, 9.99, 12.34, 999.0, 999.9, 1234.0, 2.5e10];
        let texts = [
            "0", "<0.01", "0.50", "9.99", "12.3", "999", "1.00k", "1.23k", "25G",
        ];
        assert_eq!(shown.map(quantity), texts);
        assert_eq!(
            [0.0, 1023.0, 1536.0, 5e9].map(bytes),
            ["0 B", "1023 B", "1.50 KiB", "4.66 GiB"]
        );
        assert_eq!([1.0, 0.25].map(cores), ["1 core", "0.25 cores"]);
        assert_eq!(
            [0.0, 1e-5, 0.0125, 0.99999, 2.5, 90.0].map(seconds),
            ["0 s", "10 µs", "12.5 ms", "1.00 s", "2.50 s", "1m30s"]
        );
        assert_eq!(
            [0.25, 59.9, 61.0, 3599.0, 3780.0, 277_200.0].map(age),
            ["0.2s", "59s", "1m01s", "59m59s", "1h03m", "3d05h"]
        );
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(whole),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
