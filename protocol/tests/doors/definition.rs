//! Messages of another decoder (`prost`), by their definitions.

/// Messages by their definitions. Deriving them would have the proc macros of the whole workspace compiled with more
/// features, so what the derivation comes to stands here: each field by its kind, through the decoder's own functions.
macro_rules! messages {
    ($(message $name:ident { $($field:ident: $kind:ty = $tag:literal $module:ident $how:ident,)* })*) => {$(
        #[derive(Debug, Clone, Default, PartialEq)]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)*
        }

        impl prost::Message for $name {
            fn encode_raw(&self, buffer: &mut impl prost::bytes::BufMut) {
                $(messages!(@encode $how, $module, $tag, &self.$field, buffer);)*
            }

            fn merge_field(
                &mut self,
                tag: u32,
                wire_type: prost::encoding::WireType,
                buffer: &mut impl prost::bytes::Buf,
                context: prost::encoding::DecodeContext,
            ) -> Result<(), prost::DecodeError> {
                match tag {
                    $($tag => messages!(@merge $how, $module, wire_type, &mut self.$field, buffer, context),)*
                    _ => prost::encoding::skip_field(wire_type, tag, buffer, context),
                }
            }

            fn encoded_len(&self) -> usize {
                0 $(+ messages!(@len $how, $module, $tag, &self.$field))*
            }

            fn clear(&mut self) {
                *self = Self::default();
            }
        }
    )*};
    (@encode one, $module:ident, $tag:literal, $value:expr, $buffer:expr) => {
        prost::encoding::$module::encode($tag, $value, $buffer)
    };
    (@encode many, $module:ident, $tag:literal, $value:expr, $buffer:expr) => {
        prost::encoding::$module::encode_repeated($tag, $value, $buffer)
    };
    (@encode packed, $module:ident, $tag:literal, $value:expr, $buffer:expr) => {
        prost::encoding::$module::encode_packed($tag, $value, $buffer)
    };
    (@merge one, $module:ident, $wire:expr, $value:expr, $buffer:expr, $context:expr) => {
        prost::encoding::$module::merge($wire, $value, $buffer, $context)
    };
    (@merge $many:ident, $module:ident, $wire:expr, $value:expr, $buffer:expr, $context:expr) => {
        prost::encoding::$module::merge_repeated($wire, $value, $buffer, $context)
    };
    (@len one, $module:ident, $tag:literal, $value:expr) => {
        prost::encoding::$module::encoded_len($tag, $value)
    };
    (@len many, $module:ident, $tag:literal, $value:expr) => {
        prost::encoding::$module::encoded_len_repeated($tag, $value)
    };
    (@len packed, $module:ident, $tag:literal, $value:expr) => {
        prost::encoding::$module::encoded_len_packed($tag, $value)
    };
}

pub(crate) use messages;
