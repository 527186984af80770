//! The share of each core that the background keeps.

/// The share of each core that guests of the background get, in percent, while the workers need the whole core.
///
/// The kernel divides a core between threads by their priorities: a nice level is a fifth less. So the share is exact
/// to about a tenth of its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuShare(f64);

impl CpuShare {
    /// Returns `None` unless it is from 1.5, the least that Linux's priorities express, to 50.
    pub fn percent(percent: f64) -> Option<Self> {
        (1.5..=50.0).contains(&percent).then_some(Self(percent))
    }

    /// Returns by how many nice levels the threads of the background have a lower priority than the workers.
    pub(super) fn nice_levels(self) -> i32 {
        let share = self.0 / 100.0;
        let ratio = (1.0 - share) / share;
        // Each level is a factor of 1.25 (sched(7)).
        (ratio.ln() / 1.25_f64.ln()).round() as i32
    }
}

impl Default for CpuShare {
    /// 5 percent.
    fn default() -> Self {
        Self(5.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_priority() {
        let levels = |percent| CpuShare::percent(percent).map(CpuShare::nice_levels);
        assert_eq!(levels(50.0), Some(0));
        assert_eq!(levels(20.0), Some(6));
        assert_eq!(levels(5.0), Some(13));
        assert_eq!(levels(1.5), Some(19));
        for percent in [1.4, 50.1, 0.0, -5.0, f64::NAN, f64::INFINITY] {
            assert_eq!(levels(percent), None, "{percent}");
        }
    }
}
