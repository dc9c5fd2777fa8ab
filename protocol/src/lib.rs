//! tidewire-protocol
