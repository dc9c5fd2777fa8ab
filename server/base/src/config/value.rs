//! Kinds of values: how each reads from TOML and from text, and how it prints.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Component, PathBuf};
use std::str::FromStr;

use toml::Value;

use super::secret::Secret;

/// A field of the configuration being read or shown.
pub(super) trait Setting {
    /// Takes a value from a file.
    fn set(&mut self, value: &Value) -> Result<(), String>;
    /// Takes a value from a variable or a flag.
    fn set_text(&mut self, text: &str) -> Result<(), String> {
        self.set(&Value::String(text.to_owned()))
    }
    /// The value as TOML.
    fn show(&self) -> String;
    /// The value as the log may have it.
    fn told(&self) -> String {
        self.show()
    }
    /// The bound, for the example file; empty where the kind says it all.
    fn bound(&self) -> String;
}

/// A whole number within bounds.
pub(super) struct Number<'c> {
    pub(super) target: &'c mut u64,
    pub(super) bounds: RangeInclusive<u64>,
    pub(super) unit: &'static str,
}

fn check(number: u64, bounds: &RangeInclusive<u64>, unit: &str) -> Result<u64, String> {
    if bounds.contains(&number) {
        return Ok(number);
    }
    Err(format!("{number} is not between {} and {} ({unit})", bounds.start(), bounds.end()))
}

fn whole_number(value: &Value) -> Result<u64, String> {
    match value {
        Value::Integer(number) => u64::try_from(*number).map_err(|_| format!("{number} is negative")),
        Value::String(text) => text.trim().parse().map_err(|_| format!("`{text}` is not a whole number")),
        other => Err(format!("`{other}` is not a whole number")),
    }
}

impl Setting for Number<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        *self.target = check(whole_number(value)?, &self.bounds, self.unit)?;
        Ok(())
    }

    fn show(&self) -> String {
        self.target.to_string()
    }

    fn bound(&self) -> String {
        format!("{} to {}", self.bounds.start(), self.bounds.end())
    }
}

/// A number of bytes, with or without `KiB`, `MiB`, `GiB`.
pub(super) struct Bytes<'c> {
    pub(super) target: &'c mut u64,
    pub(super) bounds: RangeInclusive<u64>,
    /// 0 is a value too: it leaves the number to the server.
    pub(super) is_derivable: bool,
}

const UNITS: [(&str, u32); 4] = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

fn show_bytes(bytes: u64) -> String {
    let (unit, shift) =
        UNITS.into_iter().find(|(_, shift)| bytes >> shift > 0 && bytes.is_multiple_of(1 << shift)).unwrap_or(("B", 0));
    format!("{}{unit}", bytes >> shift)
}

impl Setting for Bytes<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        let bytes = match value {
            Value::String(text) => {
                let unit = UNITS.into_iter().find_map(|(unit, shift)| Some((text.trim().strip_suffix(unit)?, shift)));
                let (digits, shift) = unit.unwrap_or((text, 0));
                let number: Option<u64> = digits.trim().parse().ok();
                number.and_then(|number| number.checked_mul(1 << shift)).ok_or_else(|| {
                    format!("`{text}` is not a number of bytes such as 1048576, 512KiB, 64MiB or 2GiB")
                })?
            }
            other => whole_number(other)?,
        };
        let is_left_open = self.is_derivable && bytes == 0;
        if !self.bounds.contains(&bytes) && !is_left_open {
            return Err(format!("{} is not within {}", show_bytes(bytes), self.bound()));
        }
        *self.target = bytes;
        Ok(())
    }

    fn show(&self) -> String {
        format!("\"{}\"", show_bytes(*self.target))
    }

    fn bound(&self) -> String {
        let or = if self.is_derivable { "0 or " } else { "" };
        format!("{or}{} to {}", show_bytes(*self.bounds.start()), show_bytes(*self.bounds.end()))
    }
}

/// Anything that reads from a word.
pub(super) struct Word<'c, T> {
    pub(super) target: &'c mut T,
    pub(super) choices: &'static str,
}

impl<T: FromStr<Err: Display> + Display> Setting for Word<'_, T> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            other => return Err(format!("`{other}` is not text")),
        };
        *self.target = text.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(())
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.target.to_string().to_lowercase())
    }

    fn bound(&self) -> String {
        self.choices.to_owned()
    }
}

/// Yes or no.
pub(super) struct Switch<'c>(pub(super) &'c mut bool);

impl Setting for Switch<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        *self.0 = match value {
            Value::Boolean(is_on) => *is_on,
            Value::String(text) if text == "true" => true,
            Value::String(text) if text == "false" => false,
            other => return Err(format!("`{other}` is neither true nor false")),
        };
        Ok(())
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn bound(&self) -> String {
        "true or false".to_owned()
    }
}

/// A text that is not shown to anybody.
pub(super) struct Hidden<'c>(pub(super) &'c mut Secret);

impl Setting for Hidden<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        // What is refused is not repeated.
        let Value::String(text) = value else { return Err("a secret is text".to_owned()) };
        *self.0 = Secret::new(text.as_str());
        Ok(())
    }

    fn show(&self) -> String {
        Value::String(self.0.reveal().to_owned()).to_string()
    }

    fn told(&self) -> String {
        format!("{:?}", self.0)
    }

    fn bound(&self) -> String {
        String::new()
    }
}

/// A path.
pub(super) struct FilePath<'c>(pub(super) &'c mut PathBuf);

impl Setting for FilePath<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        let Value::String(text) = value else { return Err(format!("`{value}` is not text")) };
        if text.contains('\0') {
            return Err("a path holds no NUL".to_owned());
        }
        *self.0 = PathBuf::from(text);
        Ok(())
    }

    fn show(&self) -> String {
        Value::String(self.0.display().to_string()).to_string()
    }

    fn bound(&self) -> String {
        String::new()
    }
}

/// Paths of folders, from the root.
pub(super) struct Folders<'c>(pub(super) &'c mut Vec<PathBuf>);

impl Setting for Folders<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        let no_list = |value: &Value| format!("`{value}` is not a list of folders");
        let texts: Vec<&str> = match value {
            Value::String(text) => text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect(),
            Value::Array(values) => {
                values.iter().map(|value| value.as_str().ok_or_else(|| no_list(value))).collect::<Result<_, _>>()?
            }
            other => return Err(no_list(other)),
        };
        let mut folders = Vec::new();
        for text in texts {
            let path = PathBuf::from(text);
            let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            if !path.is_absolute() || !is_plain || text.contains('\0') {
                return Err(format!("`{text}` is not a path from the root without `..`"));
            }
            folders.push(path);
        }
        *self.0 = folders;
        Ok(())
    }

    fn show(&self) -> String {
        let quoted = self.0.iter().map(|path| Value::String(path.display().to_string()).to_string());
        format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
    }

    fn bound(&self) -> String {
        "paths from the root".to_owned()
    }
}

/// Addresses to listen on.
pub(super) struct Addresses<'c>(pub(super) &'c mut Vec<SocketAddr>);

/// A name.
pub(super) struct Text<'c>(pub(super) &'c mut String);

impl Setting for Text<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::String(text) => text.clone_into(self.0),
            other => return Err(format!("`{other}` is not text")),
        }
        Ok(())
    }

    fn show(&self) -> String {
        Value::String(self.0.clone()).to_string()
    }

    fn bound(&self) -> String {
        String::new()
    }
}

impl Setting for Addresses<'_> {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        let texts: Vec<&str> = match value {
            Value::String(text) => text.split(',').collect(),
            Value::Array(values) => values
                .iter()
                .map(|value| value.as_str().ok_or_else(|| format!("`{value}` is not ADDRESS:PORT")))
                .collect::<Result<_, _>>()?,
            other => return Err(format!("`{other}` is not a list of ADDRESS:PORT")),
        };
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for text in texts {
            let address = text
                .trim()
                .parse()
                .map_err(|_| format!("`{}` is not ADDRESS:PORT such as 127.0.0.1:8902 or [::1]:8902", text.trim()))?;
            if addresses.contains(&address) && address.port() != 0 {
                return Err(format!("{address} is named twice"));
            }
            addresses.push(address);
        }
        *self.0 = addresses;
        Ok(())
    }

    fn show(&self) -> String {
        let quoted: Vec<_> = self.0.iter().map(|address| format!("\"{address}\"")).collect();
        format!("[{}]", quoted.join(", "))
    }

    fn bound(&self) -> String {
        "ADDRESS:PORT; port 0 takes a free one".to_owned()
    }
}
