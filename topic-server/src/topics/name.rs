//! A topic's name where its entry lies: one that is short needs no allocation, and no look elsewhere to be compared.

use std::fmt;
use std::ops::Deref;

/// Longer names have an allocation of their own.
const SHORT: usize = 38;

/// 1 to 1,024 bytes.
#[derive(Clone)]
pub(super) struct Name(Kind);

#[derive(Clone)]
enum Kind {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl From<&[u8]> for Name {
    fn from(name: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        Self(match bytes.get_mut(..name.len()) {
            Some(place) => {
                place.copy_from_slice(name);
                // It fits, and SHORT does.
                Kind::Short { len: name.len() as u8, bytes }
            }
            None => Kind::Long(name.into()),
        })
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kind::Short { len, bytes } => &bytes[..usize::from(*len)],
            Kind::Long(name) => name,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        for len in [1, 2, SHORT - 1, SHORT, SHORT + 1, 1_024] {
            let name: Vec<u8> = (0..len).map(|index| index as u8).collect();
            assert_eq!(Name::from(&name[..])[..], name[..]);
        }
        assert_eq!(size_of::<Name>(), 40);
    }
}
