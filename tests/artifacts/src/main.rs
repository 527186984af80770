//! Makes the components in `host/components` anew.

use evconn_artifacts::shipped;

fn main() -> anyhow::Result<()> {
    shipped::write()?;
    println!("{}", shipped::directory().display());
    Ok(())
}
