//! What became of one attempt to write or to read.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It worked; for a read, the bytes are right.
    Works,
    /// A read ended without an error, but the bytes are wrong.
    Wrong,
    /// The SDK refuses, for this reason.
    Refuses(String),
    /// The SDK's interface cannot express it.
    Unsupported(String),
}

impl Outcome {
    /// Returns whether a user who tried it would be disappointed.
    pub(crate) const fn is_red(&self) -> bool {
        matches!(self, Self::Wrong | Self::Refuses(_))
    }

    /// Returns the outcome without its reason, for comparison: reasons are texts of the SDKs, some
    /// of which differ from run to run.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Wrong => "wrong",
            Self::Refuses(_) => "refuses",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works | Self::Wrong => f.write_str(self.kind()),
            Self::Refuses(reason) | Self::Unsupported(reason) => {
                write!(f, "{}: {reason}", self.kind())
            }
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once(": ") {
            None if text == "works" => Ok(Self::Works),
            None if text == "wrong" => Ok(Self::Wrong),
            Some(("refuses", reason)) => Ok(Self::Refuses(reason.to_owned())),
            Some(("unsupported", reason)) => Ok(Self::Unsupported(reason.to_owned())),
            _ => Err(serde::de::Error::custom(format!("`{text}` is not an outcome"))),
        }
    }
}
