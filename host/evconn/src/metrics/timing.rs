//! What is timed, and the bounds of the histograms.

/// How many buckets of a histogram have a bound.
pub(super) const BUCKETS: usize = 12;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timing {
    /// Connections, from their begin to their end.
    Duration,
    /// Connections, from their begin to the first byte that was sent to their peer.
    FirstByte,
    /// The instantiation of services.
    Instantiation,
    /// How long no connection could be accepted since there were as many as there may be.
    PermitWait,
    /// By how much the event loop of a worker thread is late.
    LoopLag,
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;

impl Timing {
    pub const ALL: [Self; 5] = [
        Self::Duration,
        Self::FirstByte,
        Self::Instantiation,
        Self::PermitWait,
        Self::LoopLag,
    ];

    /// Returns the bounds of its buckets, in nanoseconds.
    pub(super) const fn bounds(self) -> &'static [u64; BUCKETS] {
        match self {
            Self::Duration => &[
                MILLISECOND,
                5 * MILLISECOND,
                25 * MILLISECOND,
                100 * MILLISECOND,
                500 * MILLISECOND,
                2 * SECOND,
                10 * SECOND,
                60 * SECOND,
                300 * SECOND,
                1_800 * SECOND,
                7_200 * SECOND,
                86_400 * SECOND,
            ],
            Self::FirstByte | Self::Instantiation => &[
                25 * MICROSECOND,
                100 * MICROSECOND,
                250 * MICROSECOND,
                500 * MICROSECOND,
                MILLISECOND,
                2_500 * MICROSECOND,
                5 * MILLISECOND,
                10 * MILLISECOND,
                50 * MILLISECOND,
                250 * MILLISECOND,
                SECOND,
                10 * SECOND,
            ],
            Self::PermitWait | Self::LoopLag => &[
                MILLISECOND,
                2_500 * MICROSECOND,
                5 * MILLISECOND,
                10 * MILLISECOND,
                25 * MILLISECOND,
                50 * MILLISECOND,
                100 * MILLISECOND,
                250 * MILLISECOND,
                500 * MILLISECOND,
                SECOND,
                5 * SECOND,
                30 * SECOND,
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend() {
        for timing in Timing::ALL {
            assert!(timing.bounds().is_sorted_by(|one, next| one < next));
        }
    }
}
