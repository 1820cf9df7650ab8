//! How large a JSON text may be.

/// The limits of [`parse`](fn@crate::json::parse) and [`Object`](crate::json::Object); the defaults are those of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of input, and bytes of canonical text in which a number counts by the digits that PostgreSQL prints
    /// for it (`1e300` counts 301), so that the limit is the same on every database. Default 1 MiB.
    pub bytes: usize,
    /// Arrays and objects within each other. Default 32, at most 128.
    pub depth: usize,
    /// Values of every kind, the outermost included. Default 20 000.
    pub nodes: usize,
    /// Members of one object. Default 1 000.
    pub keys: usize,
}

/// Deeper limits are cut to this, because values are read and dropped by recursion.
pub(super) const DEEPEST: usize = 128;

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, depth: 32, nodes: 20_000, keys: 1_000 }
    }
}

impl Limits {
    /// The same limits with this many bytes.
    #[must_use]
    pub fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// The same limits with this depth, at most 128.
    #[must_use]
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth.min(DEEPEST);
        self
    }

    /// The same limits with this many values.
    #[must_use]
    pub fn with_nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// The same limits with this many members an object.
    #[must_use]
    pub fn with_keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }
}
