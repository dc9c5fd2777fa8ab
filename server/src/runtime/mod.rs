//! How a process becomes cores, and how it ends.
//!
//! [`launch`] is the server from its configuration to its last signal; [`signals`] says what each signal means,
//! [`reload`] what SIGHUP changes, [`service_manager`] speaks to systemd; [`start`] makes one pinned thread a core and
//! runs its life; [`shutdown`] is the request to end that every core hears, and keeps them in step. [`clock`] tells the
//! time, [`disk_rate`] bounds what a core writes a second.

pub mod clock;
pub mod disk_rate;
pub mod launch;
pub mod reload;
pub mod service_manager;
pub mod shutdown;
pub mod signals;
pub mod start;
pub mod timed_disk;
