//! What waits to be worked on.

use std::collections::VecDeque;

use super::Item;

/// From this length on, in bytes, an object is a large one.
const LARGE: u64 = 8 << 20;
/// The most items that wait. A large object that is found late begins early all the same.
const MOST: usize = 16 << 10;

/// A queue from which large and small objects are taken in turn, so that neither waits for the
/// other.
#[derive(Debug)]
pub(super) struct Queue<T> {
    large: VecDeque<Item<T>>,
    small: VecDeque<Item<T>>,
    is_small_next: bool,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self { large: VecDeque::new(), small: VecDeque::new(), is_small_next: false }
    }

    pub(super) fn len(&self) -> usize {
        self.large.len().saturating_add(self.small.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    pub(super) fn push(&mut self, item: Item<T>) {
        if item.len >= LARGE { &mut self.large } else { &mut self.small }.push_back(item);
    }

    pub(super) fn pop(&mut self) -> Option<Item<T>> {
        let (first, second) = match self.is_small_next {
            true => (&mut self.small, &mut self.large),
            false => (&mut self.large, &mut self.small),
        };
        let item = first.pop_front().or_else(|| second.pop_front());
        self.is_small_next = !self.is_small_next;
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_in_turn_and_each_in_its_order() {
        let mut queue = Queue::new();
        for (key, len) in [("a", 1), ("b", 2), ("c", LARGE - 1), ("X", LARGE), ("Y", u64::MAX)] {
            queue.push(Item::new(key, len, ()));
        }
        assert_eq!(queue.len(), 5);
        let keys: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|item| item.key).collect();
        assert_eq!(keys, ["X", "a", "Y", "b", "c"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn its_length_is_bounded() {
        let mut queue = Queue::new();
        while !queue.is_full() {
            queue.push(Item::new("key", 0, ()));
        }
        assert_eq!(queue.len(), MOST);
        queue.pop();
        assert!(!queue.is_full());
    }
}
