//! Systems without systemd: nobody is notified.

pub fn ready() {}

pub fn stopping() {}

pub fn reloading() {}

pub fn is_alive() {}

pub async fn stay_alive() {}
