//! HTTP/1.1 as a server reads and writes it (RFC 9110, RFC 9112), bytes in and bytes out.
//!
//! Nothing here touches a socket. A connection loop uses the parts in this order:
//!
//! ```text
//!   received bytes ── parse_head ──> Head (borrowed)          head.rs, scan.rs, target.rs
//!                  └─ BodyFramer ──> payload pieces           body.rs      Content-Length | chunked
//!                        └─ ContentDecoder ──> plain bytes    decode/      gzip, deflate, zstd, br, snappy
//!   Head.query / form body ── Query ──> decoded parameters    query.rs; forms in parts: multipart.rs
//!   reply bytes ── ContentEncoder ──> compressed bytes        compress.rs  what `negotiate` chose (encoding.rs)
//!        └─ ResponseHead, write_chunk ──> bytes to send       response.rs
//! ```
//!
//! Two rules hold everywhere. Whatever could be read in two ways by two HTTP implementations is refused and the
//! connection closes, so that a proxy in front and this server never disagree where a request ends. And whatever a
//! client can make large (head, headers, chunk extensions, trailers, body, decoded body) has a bound that is
//! enforced before memory is taken.

mod body;
mod compress;
mod decode;
mod encoding;
mod error;
mod head;
pub mod multipart;
mod query;
mod response;
mod scan;
mod target;

pub use body::{BodyError, BodyFramer, Framed};
pub use compress::ContentEncoder;
pub use decode::{ContentDecoder, DecodeError, Pushed, STEP_BYTES_MAX};
pub use encoding::{Encoding, UnknownEncoding, negotiate};
pub use error::HeadError;
pub use head::{BodyLength, Head, Headers, Limits, Method, Version, parse_head};
pub use query::{BadQuery, Pairs, Query, decode_segment};
pub use response::{CONTINUE, DateCache, Framing, ResponseHead, reason_phrase, write_chunk, write_last_chunk};
pub use target::path_of_refused;
