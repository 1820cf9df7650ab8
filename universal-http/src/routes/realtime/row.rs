//! The open subscriptions or channels of one connection, waited for together.
//!
//! They are polled in a row, each in its place: there are a hundred at most, and one that has nothing new costs a look at
//! a number or two. They pull: while nobody asks for the next event, because the client does not read, nothing is
//! fetched or queued.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

/// Something that yields items.
pub(super) trait Source {
    type Item;

    /// The next item. While there is none, the task is woken when it is worth asking again.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Self::Item>;
}

/// Sources by the names that the client gave them.
#[derive(Debug)]
pub(super) struct Row<S> {
    sources: Vec<(Arc<str>, S)>,
    /// Who is asked first.
    first: usize,
}

impl<S> Default for Row<S> {
    fn default() -> Self {
        Self { sources: Vec::new(), first: 0 }
    }
}

impl<S> Row<S> {
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    pub(super) fn get(&self, reference: &str) -> Option<&S> {
        self.sources.iter().find(|(name, _)| **name == *reference).map(|(_, source)| source)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &S)> {
        self.sources.iter().map(|(name, source)| (name, source))
    }

    /// Adds one, in the place of one that has the same name.
    pub(super) fn insert(&mut self, reference: Arc<str>, source: S) {
        self.remove(&reference);
        self.sources.push((reference, source));
    }

    pub(super) fn remove(&mut self, reference: &str) -> Option<S> {
        let at = self.sources.iter().position(|(name, _)| **name == *reference)?;
        Some(self.sources.remove(at).1)
    }

    pub(super) fn take_all(&mut self) -> Vec<(Arc<str>, S)> {
        std::mem::take(&mut self.sources)
    }
}

impl<S: Source> Row<S> {
    /// The next item of any, with its source and the source's name. Who had something is asked last the next time.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Arc<str>, &mut S, S::Item)> {
        let Some((at, item)) = self.find(cx) else { return Poll::Pending };
        self.first = at + 1;
        match self.sources.get_mut(at) {
            Some((name, source)) => Poll::Ready((Arc::clone(name), source, item)),
            None => Poll::Pending,
        }
    }

    fn find(&mut self, cx: &mut Context<'_>) -> Option<(usize, S::Item)> {
        let count = self.sources.len();
        (self.first..self.first + count).find_map(|step| {
            let at = step % count;
            match self.sources.get_mut(at)?.1.poll_item(cx) {
                Poll::Ready(item) => Some((at, item)),
                Poll::Pending => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    struct Numbers(Vec<u32>);

    impl Source for Numbers {
        type Item = u32;

        fn poll_item(&mut self, _: &mut Context<'_>) -> Poll<u32> {
            self.0.pop().map_or(Poll::Pending, Poll::Ready)
        }
    }

    #[test]
    fn one_that_always_has_something_keeps_no_other_waiting() {
        let mut row = Row::default();
        row.insert("busy".into(), Numbers(vec![1; 100]));
        row.insert("idle".into(), Numbers(vec![]));
        row.insert("some".into(), Numbers(vec![2, 2]));
        row.insert("gone".into(), Numbers(vec![3, 3]));
        assert_eq!(row.remove("gone").map(|gone| gone.0.len()), Some(2));
        let mut cx = Context::from_waker(Waker::noop());
        let mut names = Vec::new();
        for _ in 0..5 {
            if let Poll::Ready((name, _, _)) = row.poll_next(&mut cx) {
                names.push(name.to_string());
            }
        }
        assert_eq!(names, ["busy", "some", "busy", "some", "busy"]);
        row.insert("busy".into(), Numbers(vec![]));
        assert!(row.poll_next(&mut cx).is_pending());
        assert_eq!((row.len(), row.take_all().len(), row.len()), (3, 3, 0));
        assert!(row.poll_next(&mut cx).is_pending());
    }
}
