//! Rights over the wire: what a socket says is what a request would be answered, and it says nothing to whom nothing is answered.

mod ending;
mod equivalence;
mod eye;
mod house;
mod law;
