//! A list that mostly has one item: that one lies in place, and only more are an allocation. Most topics have one
//! subscribed gateway, and one that publishes.

use std::ops::{Deref, DerefMut};

/// A list.
#[derive(Debug, Default)]
pub enum Few<T> {
    /// Nothing.
    #[default]
    None,
    /// One item.
    One(T),
    /// Any number of items.
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(item),
            Self::One(first) => Self::Many(vec![first, item]),
            Self::Many(mut items) => {
                items.push(item);
                Self::Many(items)
            }
        };
    }

    /// Takes an item out; the last one gets its place.
    ///
    /// # Panics
    /// There is no item at `index`.
    pub fn swap_remove(&mut self, index: usize) -> T {
        assert!(index < self.len(), "no item {index}");
        let mut items = std::mem::take(self).into_vec();
        let item = items.swap_remove(index);
        *self = Self::from_vec(items);
        item
    }

    /// Keeps only those items.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        let mut items = std::mem::take(self).into_vec();
        items.retain(keep);
        *self = Self::from_vec(items);
    }

    fn into_vec(self) -> Vec<T> {
        match self {
            Self::None => Vec::new(),
            Self::One(item) => vec![item],
            Self::Many(items) => items,
        }
    }

    /// One that has shrunk gives its allocation back only at the end of it: what was more than one will be so again.
    fn from_vec(items: Vec<T>) -> Self {
        if items.is_empty() { Self::None } else { Self::Many(items) }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Self::None;
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(item) => std::slice::from_mut(item),
            Self::Many(items) => items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list_however_many_there_are() {
        let mut few: Few<u32> = Few::default();
        let mut list = Vec::new();
        for item in 0..5 {
            few.push(item);
            list.push(item);
            assert_eq!(few[..], list[..]);
        }
        few[2] = 9;
        list[2] = 9;
        few.retain(|item| *item != 1);
        list.retain(|item| *item != 1);
        for index in [1, 0, 1, 0] {
            assert_eq!(few.swap_remove(index), list.swap_remove(index));
            assert_eq!(few[..], list[..]);
        }
        assert!(matches!(few, Few::None));
        assert_eq!([7, 8].into_iter().collect::<Few<_>>()[..], [7, 8]);
    }

    #[test]
    fn one_lies_in_place() {
        let mut few = Few::One(1);
        few.retain(|_| false);
        few.push(2);
        assert!(matches!(few, Few::One(2)));
        assert_eq!(
            size_of::<Few<(u64, &u8)>>(),
            size_of::<Vec<u8>>(),
            "no more than a list takes that has nothing"
        );
    }
}
