//! Converts seconds to a date and a time.
//!
//! Out of scope: time zones, calendars other than the Gregorian one, and leap seconds, which the clock does not
//! count.

/// The number of days in 400 years, the period of the calendar.
const DAYS_OF_400_YEARS: u64 = 400 * 365 + 97;

/// Formats the time that is this many seconds after the beginning of 1970: `2026-02-28T23:59:59Z`.
pub fn iso_8601(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns year, month and day of the date that is this many days after 1 January 1970.
fn date(days: u64) -> (u64, usize, u64) {
    let mut year = 1970 + days / DAYS_OF_400_YEARS * 400;
    let mut left = days % DAYS_OF_400_YEARS;
    while left >= days_of(year) {
        left -= days_of(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}
