//! The log: which subscriber the tasks of the library log to, and how much connections may cause.

mod budget;
mod subscriber;

pub(crate) use budget::{LogBudget, Reserved};
pub(crate) use subscriber::with_log;
