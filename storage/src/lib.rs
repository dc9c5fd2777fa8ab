//! tidewire-storage
