//! Labels of a stream, and their text: `{name="value", …}`, values with the escapes of Go.

use crate::row::RowError;

/// Names and values.
#[derive(Debug, Default)]
pub(super) struct Labels {
    text: String,
    /// Where names and values end.
    ends: Vec<(usize, usize)>,
}

impl Labels {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len()));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&(name_end, end)| {
            let label = (self.text.get(start..name_end)?, self.text.get(name_end..end)?);
            start = end;
            Some(label)
        })
    }

    /// Takes the labels of a text in place of those held.
    pub(super) fn read(&mut self, text: &str) -> Result<(), RowError> {
        self.clear();
        self.read_all(text.trim()).ok_or_else(|| RowError::invalid("the labels", text))
    }

    fn read_all(&mut self, text: &str) -> Option<()> {
        let mut rest = text.strip_prefix('{')?.trim_start();
        loop {
            if let Some(behind) = rest.strip_prefix('}') {
                return behind.is_empty().then_some(());
            }
            let (name, behind) = rest.split_once('=')?;
            let name = name.trim();
            let is_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | ':' | '.' | '-');
            if name.is_empty() || !name.chars().all(is_name) {
                return None;
            }
            let (value, behind) = unquote(behind.trim_start())?;
            self.push(name, &value);
            rest = behind.trim_start();
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind.trim_start(),
                None if rest.starts_with('}') => {}
                None => return None,
            }
        }
    }
}

/// The string at the start of `text`, and what is behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, rest) = raw.split_once('`')?;
        return Some((value.to_owned(), rest));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut value = Vec::new();
    loop {
        let mut characters = rest.chars();
        match characters.next()? {
            '"' => return Some((String::from_utf8(value).ok()?, characters.as_str())),
            '\\' => {
                let escape = characters.next()?;
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    '0'..='7' => {
                        let code = u8::from_str_radix(rest.get(1..4)?, 8).ok()?;
                        value.push(code);
                        rest = rest.get(4..)?;
                        continue;
                    }
                    _ => 0,
                };
                if digits > 0 {
                    let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
                    match escape {
                        'x' => value.push(code as u8),
                        _ => value.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                    rest = rest.get(2 + digits..)?;
                    continue;
                }
                value.push(match escape {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 11,
                    '\\' | '"' | '\'' => escape as u8,
                    _ => return None,
                });
            }
            character => value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = characters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Option<Vec<(String, String)>> {
        let mut labels = Labels::default();
        labels.read(text).ok()?;
        Some(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn labels_are_read() {
        let found = labels(r#"{job="app42", instance = "a\"b\\\n\u00e9\x41\101, }",raw=`x\`, }"#).unwrap();
        let expected = [("job", "app42"), ("instance", "a\"b\\\né\u{41}A, }"), ("raw", "x\\")];
        assert_eq!(found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(labels("{}"), Some(Vec::new()));
    }

    #[test]
    fn what_are_no_labels_is_refused() {
        for text in [
            "",
            "{",
            "}",
            "{a}",
            "{a=}",
            "{a=b}",
            "{a=\"b}",
            "{=\"b\"}",
            "{a=\"b\" c=\"d\"}",
            "{a=\"b\"}x",
            "{a b=\"c\"}",
            r#"{a="\q"}"#,
            r#"{a="\xff"}"#,
            r#"{a="\400"}"#,
            r#"{a="\ud800"}"#,
            r#"{a="\u00"}"#,
            "{,}",
        ] {
            assert_eq!(labels(text), None, "{text}");
        }
    }
}
