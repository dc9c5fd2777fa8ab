//! Why a body cannot be had to its end.

use std::io;

use tidewire_protocol::http::{self, DecodeError, UnknownEncoding};

use crate::memory::decoders::DecoderRefusal;

/// Why a body cannot be had to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client broke a rule or a bound: 400, 408, 413, 415, 431; or the server is short of memory: 429.
    #[error("{reason}")]
    Refused {
        /// What to answer.
        status: u16,
        /// What was wrong.
        reason: String,
    },
    /// Nobody here can decompress it: 415.
    #[error(transparent)]
    UnknownEncoding(UnknownEncoding),
    /// The client has gone; nobody will read an answer.
    #[error("connection broke in the request body: {0}")]
    Gone(io::Error),
}

impl BodyError {
    /// The status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            Self::UnknownEncoding(_) => 415,
            Self::Gone(_) => 400,
        }
    }

    pub(super) fn refused(status: u16, reason: impl Into<String>) -> Self {
        Self::Refused { status, reason: reason.into() }
    }
}

impl From<http::BodyError> for BodyError {
    fn from(error: http::BodyError) -> Self {
        Self::refused(error.status, error.reason)
    }
}

impl From<DecoderRefusal> for BodyError {
    fn from(refusal: DecoderRefusal) -> Self {
        match refusal {
            DecoderRefusal::Busy { .. } => Self::refused(429, format!("{refusal}; try again later")),
            DecoderRefusal::TooLarge { .. } => Self::refused(413, refusal.to_string()),
        }
    }
}

impl From<DecodeError> for BodyError {
    fn from(error: DecodeError) -> Self {
        Self::refused(error.status(), error.to_string())
    }
}
