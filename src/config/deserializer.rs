//! Reads an application's section into its type, as leniently as daybook's own keys: the type decides what a text means.
//!
//! serde's derived code calls the method for the type that a field has, so each method knows which values are valid.

use figment::value::Value;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};

use super::lenient::{LenientString, list_items};
use super::mistake::{Error, Mistake};

/// Reads a `T`. A key that `T` does not have is a mistake.
pub fn read<'de, T: Deserialize<'de>>(value: Value) -> Result<T, Mistake> {
    serde_path_to_error::deserialize(LenientValue(value)).map_err(|error| {
        // "." is the path of the whole.
        let key = error.path().to_string();
        Mistake {
            key: key.trim_matches('.').to_owned(),
            message: error.into_inner().0,
        }
    })
}

struct LenientValue(Value);

impl LenientValue {
    fn text(self) -> Result<String, Error> {
        let LenientString(text) = self.0.try_into().map_err(Error::custom)?;
        Ok(text)
    }
}

impl<'de> IntoDeserializer<'de, Error> for LenientValue {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $number:ty: $right:expr),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let text = self.text()?;
            let number: $number = text
                .parse()
                .map_err(|_| Error(format!("{text:?} is not valid: write {}", $right)))?;
            visitor.$visit(number)
        }
    )*};
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty),* $(,)?) => {
        numbers! {$(
            $method $visit $number:
                format!("a whole number from {} to {}", <$number>::MIN, <$number>::MAX)
        ),*}
    };
}

impl<'de> Deserializer<'de> for LenientValue {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(_, text) => visitor.visit_string(text),
            Value::Char(_, char) => visitor.visit_char(char),
            Value::Bool(_, boolean) => visitor.visit_bool(boolean),
            Value::Empty(..) => visitor.visit_unit(),
            Value::Dict(..) => self.deserialize_map(visitor),
            Value::Array(..) => self.deserialize_seq(visitor),
            Value::Num(_, number) => {
                // Neither TOML nor the environment has greater whole numbers.
                let whole = number
                    .to_i128()
                    .and_then(|number| i64::try_from(number).ok());
                match (whole, number.to_f64()) {
                    (Some(number), _) => visitor.visit_i64(number),
                    (None, Some(number)) => visitor.visit_f64(number),
                    (None, None) => Err(Error::custom("this number is too large")),
                }
            }
        }
    }

    whole_numbers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
    }

    numbers! {
        deserialize_f32 visit_f32 f32: "a number",
        deserialize_f64 visit_f64 f64: "a number",
        deserialize_bool visit_bool bool: "true or false",
        deserialize_char visit_char char: "one character",
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Empty(..) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items = list_items(self.0).map_err(Error)?;
        let mut items = SeqDeserializer::new(items.into_iter().map(LenientValue));
        let list = visitor.visit_seq(&mut items)?;
        items.end().map(|()| list)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Dict(_, keys) => {
                let keys = keys
                    .into_iter()
                    .map(|(key, value)| (key, LenientValue(value)));
                visitor.visit_map(MapDeserializer::new(keys))
            }
            _ => Err(Error::custom(
                "this is a section: set each of its keys by itself",
            )),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Dict(_, keys) => {
                let keys = keys
                    .into_iter()
                    .map(|(key, value)| (key, LenientValue(value)));
                MapAccessDeserializer::new(MapDeserializer::new(keys))
                    .deserialize_enum(name, variants, visitor)
            }
            _ => {
                let text: serde::de::value::StringDeserializer<Error> =
                    self.text()?.into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
        }
    }

    /// serde asks for this where a struct has no field for the key.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("there is no such key: remove it"))
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct }
}
