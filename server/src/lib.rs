//! tidewire-server
