//! Configuration files from anyone, for [`crate::fuzzing`].

use std::path::Path;

use super::check;
use super::files::Raw;
use super::interpolation::Tree;
use super::layers::{self, DIMENSIONS, Layer};
use super::yaml::{self, Data, Meaning, Node, Scalar, Style, python_float};
use crate::deadline::Deadline;

/// Every dimension, by its place in the list of files.
static LAYERS: [layers::Dimension; 4] = DIMENSIONS;

pub fn configuration(files: &[&[u8]]) {
    let Some((base, others)) = files.split_first() else {
        return;
    };
    let Some(base) = mapping(base, 0) else {
        return;
    };
    let mut raw = Raw {
        files: vec![Path::new("default.yaml").into()],
        base: Some(base),
        is_store: files.len() > 1,
        ..Raw::default()
    };
    for (dimension, text) in LAYERS.iter().zip(others) {
        let file = raw.files.len();
        if let Some(tree) = mapping(text, file) {
            raw.files.push(Path::new(dimension.name).into());
            raw.layers.push(Layer {
                dimension,
                file,
                tree,
            });
        }
    }
    if let Some(base) = &raw.base {
        for wrong in check::section(&raw, base, None, false).1 {
            assert!(!wrong.text.is_empty() && wrong.place.file < raw.files.len());
        }
        let mut all = base.clone();
        for layer in &raw.layers {
            for selector in layer.selectors() {
                let Ok(block) = layer.block(selector, Deadline::never()) else {
                    continue;
                };
                let _ = layers::merge(&mut all, block, Deadline::never());
            }
        }
        every_scalar(&Tree::new(&all, Deadline::never()), &all);
    }
    if let Err(error) = check::all(raw, Default::default()) {
        assert!(error.lines().count() > 0);
    }
}

/// What `text` holds, if it is a mapping; what is wrong with it has a place in it.
fn mapping(text: &[u8], file: usize) -> Option<Node> {
    let lines = 2 + text
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r'))
        .count();
    match yaml::parse(text, file) {
        Ok(node) => matches!(node.data, Data::Map(_)).then_some(node),
        Err(wrong) => {
            assert!(!wrong.text.is_empty());
            assert!((1..=lines).contains(&wrong.place.line), "{wrong:?}");
            assert!(wrong.place.column >= 1, "{wrong:?}");
            None
        }
    }
}

/// Follows every interpolation; reads every scalar back.
fn every_scalar<'t>(tree: &Tree<'t>, node: &'t Node) {
    match &node.data {
        Data::Scalar(scalar) => {
            if let Ok(Meaning::Float(number)) = scalar.meaning()
                && number.is_finite()
            {
                let again = Scalar::new(python_float(number), Style::Plain);
                assert_eq!(again.meaning(), Ok(Meaning::Float(number)), "{scalar:?}");
            }
            let _ = scalar.kind();
        }
        Data::List(_) | Data::Map(_) => {
            for child in node.children() {
                let _ = tree.follow(child);
                every_scalar(tree, child);
            }
        }
    }
}
