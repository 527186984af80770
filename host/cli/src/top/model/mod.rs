//! What a server has told, and what follows from it: rates, quantiles, tables. Where it ends: it neither asks a server
//! nor draws.

mod answers;
mod causes;
mod history;
mod numbers;
mod openmetrics;
mod plain;
mod scrape;
mod series;
mod tables;
mod totals;

pub use answers::{Answer, Connection};
pub use history::{History, SPAN};
pub use numbers::{age, whole};
pub use openmetrics::Families;
pub use plain::{Plain, plain};
pub use scrape::Scrape;
pub use series::GROUPS;
pub use tables::{Column, Pane, Sort, Table, table};
pub use totals::totals;
