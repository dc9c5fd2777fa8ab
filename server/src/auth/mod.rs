//! Who asks, and what proves it.
//!
//! ```text
//!   principal.rs    who a request comes from, and what it may do
//!   credentials.rs  what a request brings: Basic, Token, u and p, a bearer token
//!   logins.rs       one core's judge of them; in this order:
//!     proofs.rs       a password that was right, or wrong, a moment ago is so still
//!     failures.rs     who has guessed wrong must wait before the next guess
//!     password.rs     else the password is compared with the user's hash, beside the core; also makes hashes
//!   token.rs        bearer tokens: JWT, HS256
//!   denial.rs       why a request is turned away
//! ```
//!
//! What a principal may do is asked where the catalog's rights are needed: `api::guard` for endpoints and statements.

pub mod credentials;
pub mod denial;
mod failures;
pub mod logins;
pub mod password;
pub mod principal;
mod proofs;
pub mod token;
