//! The configuration: its places, the layers of the MXM store, its mistakes, and `config`.

mod differential;
mod layers;
mod mistakes;
mod own;
