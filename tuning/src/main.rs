//! tidewire-tuning
fn main() {}
