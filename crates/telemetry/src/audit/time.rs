//! Wall time as text (RFC 3339).

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Days from 0000-03-01, where the years of this arithmetic begin, to 1970-01-01.
const DAYS_TO_EPOCH: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097; // 400 years
const DAYS_PER_CENTURY: u64 = 36_524;
const DAYS_PER_FOUR_YEARS: u64 = 1_460;

/// Writes nanoseconds since the Unix epoch as `2026-01-31T23:59:59.123456Z`.
pub(crate) fn write_rfc3339(time_ns: u64, out: &mut Vec<u8>) {
    let seconds = time_ns / NS_PER_SECOND;
    let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
    let second = seconds % SECONDS_PER_DAY;
    let micros = time_ns % NS_PER_SECOND / 1_000;
    // u64 nanoseconds end in the year 2554.
    let fields = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3_600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (micros, 6, b'Z'),
    ];
    for (value, digits, end) in fields {
        for digit in (0..digits).rev() {
            out.push(b'0' + (value / 10_u64.pow(digit) % 10) as u8);
        }
        out.push(end);
    }
}

/// Year, month and day of a day since the epoch, in the Gregorian calendar. Years are counted from March, so that the
/// leap day is the last of a year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
const fn civil_date(day: u64) -> (u64, u64, u64) {
    let day = day + DAYS_TO_EPOCH;
    let (era, day_of_era) = (day / DAYS_PER_ERA, day % DAYS_PER_ERA);
    let leap_days =
        day_of_era / DAYS_PER_FOUR_YEARS - day_of_era / DAYS_PER_CENTURY + day_of_era / (DAYS_PER_ERA - 1);
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have lengths that repeat every five: 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(time_ns: u64) -> String {
        let mut out = Vec::new();
        write_rfc3339(time_ns, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_times() {
        let known = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (68_169_600, "1972-02-29T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ];
        for (seconds, expected) in known {
            assert_eq!(text(seconds * NS_PER_SECOND), expected);
        }
        assert_eq!(text(1_234_567_890_123_456_789), "2009-02-13T23:31:30.123456Z");
        assert_eq!(text(u64::MAX), "2554-07-21T23:34:33.709551Z");
    }

    /// Against the rule of the calendar, day by day, over more than 400 years.
    #[test]
    fn every_day_follows_the_one_before() {
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let mut expected = (1970, 1, 1);
        for day in 0..=u64::MAX / NS_PER_SECOND / SECONDS_PER_DAY {
            assert_eq!(civil_date(day), expected);
            let (year, month, day_of_month) = expected;
            let days = match month {
                2 if is_leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, day_of_month) {
                (12, 31) => (year + 1, 1, 1),
                _ if day_of_month == days => (year, month + 1, 1),
                _ => (year, month, day_of_month + 1),
            };
        }
    }
}
