//! tidewire-loadtest
fn main() {}
