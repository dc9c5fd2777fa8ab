//! tidewire-benches
