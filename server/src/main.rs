//! tidewire-server
fn main() {}
