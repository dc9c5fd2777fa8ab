//! How a process becomes cores, and how it ends.
//!
//! [`launch`] is the server from its configuration to its last signal; [`start`] makes one pinned thread a core and
//! runs its life; [`shutdown`] is the
//! request to end that every core hears. [`clock`] tells the time, [`disk_rate`] bounds what a core writes a second.

pub mod clock;
pub mod disk_rate;
pub mod launch;
pub mod shutdown;
pub mod start;
