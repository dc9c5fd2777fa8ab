//! Shapes of what a request brought: programs send the same few kinds of messages again and again.
//!
//! As many are kept as [`SHAPES_MAX`]. Of what fits none of them, one of `MISSES` takes the place of another, one place
//! after the other, so that a request of ever new shapes spends little on them.

/// Shapes that are kept.
const SHAPES_MAX: usize = 8;

/// What is known of messages of some kind.
#[derive(Debug)]
pub(crate) struct Shapes<T, const MISSES: usize> {
    kept: Vec<T>,
    /// That of the last message.
    last: usize,
    misses: usize,
}

impl<T, const MISSES: usize> Default for Shapes<T, MISSES> {
    fn default() -> Self {
        Self { kept: Vec::new(), last: 0, misses: 0 }
    }
}

impl<T, const MISSES: usize> Shapes<T, MISSES> {
    /// The places of shapes, that of the last message first.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> + use<T, MISSES> {
        (self.last..self.kept.len()).chain(0..self.last)
    }

    /// All of them.
    pub(crate) fn kept(&self) -> &[T] {
        &self.kept
    }

    /// The shape at a place.
    pub(crate) fn at(&mut self, place: usize) -> Option<&mut T> {
        self.kept.get_mut(place)
    }

    /// A message has fitted the shape at this place.
    pub(crate) fn has_fitted(&mut self, place: usize) {
        self.last = place;
    }

    /// A message has fitted none: where its shape may stand, if it may.
    pub(crate) fn room(&mut self) -> Option<usize> {
        self.misses += 1;
        match self.kept.len() < SHAPES_MAX {
            true => Some(self.kept.len()),
            false => self.misses.is_multiple_of(MISSES).then_some(self.misses / MISSES % SHAPES_MAX),
        }
    }

    /// Puts a shape where [`Self::room`] said.
    pub(crate) fn put(&mut self, place: usize, shape: T) {
        match self.kept.get_mut(place) {
            Some(old) => *old = shape,
            None => self.kept.push(shape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_bounded_and_give_way() {
        const MISSES: usize = 16;
        let mut shapes = Shapes::<usize, MISSES>::default();
        let mut kept = 0;
        for message in 0..SHAPES_MAX * MISSES {
            if let Some(place) = shapes.room() {
                shapes.put(place, message);
                kept += 1;
            }
        }
        assert_eq!((shapes.kept().len(), kept), (SHAPES_MAX, SHAPES_MAX + SHAPES_MAX));
        shapes.has_fitted(3);
        assert_eq!(shapes.order().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 0, 1, 2]);
    }
}
