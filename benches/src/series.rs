//! The same thing measured again and again, beside its limits.

use crate::sample::{Sample, median, ratio, spread};

/// What the server did in each round, and what each limit did in the same round.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// What was done, with how many connections or subscribers.
    pub(crate) name: String,
    pub(crate) server: Vec<Sample>,
    pub(crate) limits: Vec<Limit>,
}

/// A limit, measured in the same rounds.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
}

/// A number of each round, as its median and the range it was in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) range: (f64, f64),
}

impl Series {
    /// Nothing measured yet.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), server: Vec::new(), limits: Vec::new() }
    }

    /// A limit's sample of this round.
    pub(crate) fn add(&mut self, limit: &str, sample: Sample) {
        match self.limits.iter_mut().find(|known| known.name == limit) {
            Some(known) => known.samples.push(sample),
            None => self.limits.push(Limit { name: limit.to_owned(), samples: vec![sample] }),
        }
    }

    /// `of` the server's sample by `of` the limit's, round by round.
    pub(crate) fn ratio(&self, limit: &Limit, of: impl Fn(&Sample) -> Option<f64>) -> Option<Figure> {
        let rounds = self.server.iter().zip(&limit.samples);
        Figure::of(rounds.filter_map(|(server, limit)| Some(ratio(of(server)?, of(limit)?))))
    }
}

impl Figure {
    /// Of these numbers.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        Some(Self { median: median(&values)?, range: spread(&values)? })
    }

    /// Of the samples.
    pub(crate) fn each(samples: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Option<Self> {
        Self::of(samples.iter().filter_map(of))
    }
}
