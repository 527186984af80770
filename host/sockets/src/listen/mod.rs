pub(crate) mod drain;
pub(crate) mod listener;
pub(crate) mod listening;
