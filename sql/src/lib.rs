//! tidewire-sql
