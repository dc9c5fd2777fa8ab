//! The memory of the whole server: one bound, `memory.bytes_max`, divided, counted and kept.
//!
//! Guarantee: whatever the load, the server sheds what it can do without, then refuses work with a reason, before it
//! takes more memory than the operator gave it.
//!
//! 1. [`machine`] reads what the machine or its control group has; a share of it is the default bound.
//! 2. [`budget`] divides the bound over what is bounded part by part (rows, caches, queries, parsers, connections), and
//!    refuses a configuration that cannot fit. A pure function.
//! 3. [`account`] counts what each core holds of each part, and adds the cores up.
//!    [`decoders`] does the same for what decoders of bodies take, before they take it.
//! 4. [`pressure`] decides from the sum what is to be done. A pure function; `core::upkeep::memory` acts on it.

pub mod account;
pub mod budget;
pub mod decoders;
pub mod machine;
pub mod pressure;

pub use account::{CoreMemory, Memory, Part};
pub use budget::Budget;
pub use pressure::Level;
