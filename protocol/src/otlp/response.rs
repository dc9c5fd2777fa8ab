//! The replies to an export, which have the same form for all signals.

use crate::protobuf::push_varint;

/// A message that says how many items were refused, and why; empty where all were taken.
pub fn partial_success(refused: u64, reason: &str) -> Vec<u8> {
    if refused == 0 {
        return Vec::new();
    }
    let mut partial = number_and_text(refused, reason);
    let mut reply = vec![1 << 3 | 2];
    push_varint(&mut reply, partial.len() as u64);
    reply.append(&mut partial);
    reply
}

/// A message that says why nothing was taken: `google.rpc.Status`.
pub fn status_message(code: u32, message: &str) -> Vec<u8> {
    number_and_text(u64::from(code), message)
}

/// `1 number 2 text`
fn number_and_text(number: u64, text: &str) -> Vec<u8> {
    let mut message = vec![1 << 3];
    push_varint(&mut message, number);
    message.push(2 << 3 | 2);
    push_varint(&mut message, text.len() as u64);
    message.extend_from_slice(text.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{Fields, Value};

    #[test]
    fn it_says_how_many_and_why() {
        assert!(partial_success(0, "").is_empty());
        let reply = partial_success(300, "x");
        let partial = Fields::of(&reply).next_field().unwrap().unwrap();
        assert_eq!(partial.number, 1);
        let mut fields = Fields::of(partial.value.bytes().unwrap());
        assert_eq!(fields.next_field().unwrap().unwrap().value, Value::Varint(300));
        assert_eq!(fields.next_field().unwrap().unwrap().value, Value::Bytes(b"x"));
    }
}
