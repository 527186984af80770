//! A load, put on the servers in turns.

use crate::loads::Load;
use crate::options::Plan;
use crate::servers::{Component, Native, Running};
use crate::stock::Stock;
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long one measurement may take. A second is what is expected.
const DEADLINE: Duration = Duration::from_secs(20);

/// What each server did in a second, round by round.
#[derive(Default)]
pub struct Rounds {
    pub native: Vec<f64>,
    pub component: Vec<f64>,
    pub stock: Vec<f64>,
}

/// Who is measured, and on which runtime the client is.
pub struct Bench {
    pub native: Native,
    pub component: Component,
    pub stock: Stock,
    pub client: Runtime,
}

impl Bench {
    pub fn measure(&self, load: Load, plan: &Plan) -> Result<Rounds> {
        self.round(load, plan).context("warm-up")?;
        let mut rounds = Rounds::default();
        for number in 1..=plan.rounds {
            let [native, component, stock] = self
                .round(load, plan)
                .with_context(|| format!("round {number}"))?;
            rounds.native.push(native);
            rounds.component.push(component);
            rounds.stock.push(stock);
        }
        Ok(rounds)
    }

    fn round(&self, load: Load, plan: &Plan) -> Result<[f64; 3]> {
        let native = self
            .one(self.native.start(), load, plan)
            .context("native tokio")?;
        let component = self
            .one(self.component.start(), load, plan)
            .context("evconn")?;
        let stock = self
            .one(self.stock.start(), load, plan)
            .context("evconn's components on wasmtime-wasi's sockets")?;
        Ok([native, component, stock])
    }

    fn one(&self, server: Result<Running<'_>>, load: Load, plan: &Plan) -> Result<f64> {
        let server = server?;
        let run = load.run(server.address, plan);
        let rate = self
            .client
            .block_on(async { tokio::time::timeout(DEADLINE, run).await })
            .with_context(|| format!("not done after {DEADLINE:?}"))
            .flatten();
        let served = match &rate {
            Ok(_) => server.stop()?,
            // If the server has failed, too, then that is why.
            Err(error) => server.stop().with_context(|| format!("{error:#}"))?,
        };
        let rate = rate?;
        // An instance for each connection, or the figures are of something else.
        let opened = u64::from(load.connections(plan));
        ensure!(served == opened, "{served} of {opened} connections served");
        Ok(rate)
    }
}
