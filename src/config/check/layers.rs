//! All of a store: the default by itself, with each block of each layer, and refs and sets in every combination of blocks;
//! and which blocks cause a mistake that shows elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;

use super::{Elsewhere, SECTION, SETS, place_of, section};
use crate::config::files::{Raw, late};
use crate::config::layers::{Layer, merge};
use crate::config::yaml::{Data, Node, Wrong, wrong};
use crate::config::{Checked, Configured};
use crate::refs::{IDENTIFIER, KINDS, is_identifier};
use crate::schema::{UsageError, Value};
use crate::text::clipped;

/// How many combinations of layers are checked.
const COMBINATIONS: usize = 10_000;

/// Checks the default by itself, and with each layer, and refs and sets in every combination of layers; `here` is what is
/// wrong in what is in effect, and the blocks that are, as [`Raw::blocks`] has them.
///
/// # Errors
/// Everything that is wrong.
pub fn all(mut raw: Raw, here: (Vec<(usize, String)>, Vec<Wrong>)) -> Result<Checked, UsageError> {
    let layers = mem::take(&mut raw.layers);
    let Some(base) = raw.base.take() else {
        return Ok(Checked::default());
    };
    let has = |path: &str| layers.iter().any(|layer| layer.has(path));
    let elsewhere: Elsewhere = if layers.is_empty() { None } else { Some(&has) };
    let of_base = section(&raw, &base, elsewhere, false).1;
    let mut wrongs = of_base.clone();
    // The same without the names of blocks.
    let mut told: BTreeSet<Wrong> = of_base.iter().cloned().collect();
    for layer in &layers {
        for (key, place) in layer.selectors_of_no_use() {
            let text = format!("{key}: YAML does not read this as a string: put it in quotes");
            wrongs.push(wrong(place, text));
        }
        for selector in layer.selectors() {
            raw.deadline.go_on().map_err(late)?;
            let mut found = match with_block(&raw, &base, layer, selector) {
                Ok(root) => section(&raw, &root, elsewhere, false).1,
                Err(error) => vec![error],
            };
            found.retain(|wrong| !of_base.contains(wrong));
            told.extend(found.iter().cloned());
            wrongs.extend(found.into_iter().map(|wrong| in_block(wrong, selector)));
        }
    }
    // A section that an interpolation leads to may have refs and sets.
    let may_have = |kind: &str| {
        let here = |ours: &Node| ours.get(kind).is_some() || matches!(ours.data, Data::Scalar(_));
        base.get(SECTION).is_some_and(here) || has(&format!("{SECTION}.{kind}"))
    };
    let mut lacking = Vec::new();
    if may_have(KINDS[0]) || may_have(SETS) {
        let combinations = Combinations::of(&raw, &base, &layers, &told);
        match combinations.map(|it| it.result(&mut wrongs, &mut lacking)) {
            Ok(found) => told.extend(found),
            // Sets have been checked with each block.
            Err(error) if !may_have(KINDS[0]) => lacking.push(error.to_string()),
            Err(error) if wrongs.is_empty() => return Err(error),
            Err(_) => {}
        }
    }
    let (blocks, here) = here;
    let news = here.into_iter().filter(|wrong| !told.contains(wrong));
    wrongs.extend(news.map(|wrong| {
        let mut blocks = blocks.iter();
        match blocks.find(|(file, _)| *file == wrong.place.file) {
            Some((_, block)) => in_block(wrong, block),
            None => wrong,
        }
    }));
    wrongs.sort();
    wrongs.dedup();
    if wrongs.is_empty() {
        Ok(Checked {
            files: raw.files.iter().map(|file| file.to_path_buf()).collect(),
            lacking,
            not_here: None,
        })
    } else {
        Err(raw.report(&wrongs))
    }
}

/// Names the blocks that cause what is `wrong` in the default of the configuration `raw`, of which some are in effect:
/// the first that does so alone, or all. `again` is the configuration as it was found.
pub fn name_causes(raw: &Raw, mut again: Raw, wrong: &mut [Wrong]) {
    let layers = mem::take(&mut again.layers);
    let Some(base) = again.base.take().filter(|_| !layers.is_empty()) else {
        return;
    };
    let of_base = section(&again, &base, None, false).1;
    let alone = layers.iter().zip(&raw.blocks).map(|(layer, (_, name))| {
        let root = with_block(&again, &base, layer, name);
        let found = root.map(|root| section(&again, &root, None, false).1);
        (name.as_str(), found.unwrap_or_default())
    });
    let alone: Vec<(&str, Vec<Wrong>)> = alone.collect();
    let of_default = |wrong: &Wrong| raw.blocks.iter().all(|(file, _)| *file != wrong.place.file);
    for wrong in wrong {
        if of_default(wrong) && !of_base.contains(wrong) {
            let cause = alone.iter().find(|(_, found)| found.contains(wrong));
            let names = match cause {
                Some((name, _)) => vec![*name],
                None => alone.iter().map(|(name, _)| *name).collect(),
            };
            *wrong = in_block(wrong.clone(), &names.join(", "));
        }
    }
}

/// `root` with a block over it.
fn with_block(raw: &Raw, root: &Node, layer: &Layer, selector: &str) -> Result<Node, Wrong> {
    let mut root = root.clone();
    merge(
        &mut root,
        layer.block(selector, raw.deadline)?,
        raw.deadline,
    )?;
    Ok(root)
}

/// What is wrong, with the name of the block.
fn in_block(wrong: Wrong, block: &str) -> Wrong {
    Wrong {
        text: format!("{}: {}", clipped(block), wrong.text),
        ..wrong
    }
}

/// What combinations of blocks have shown.
struct Combinations<'l> {
    raw: &'l Raw,
    layers: &'l [Layer],
    /// What is known to be wrong without them.
    told: &'l BTreeSet<Wrong>,
    count: usize,
    /// The stores that some combination has.
    stores: HashSet<String>,
    /// What is wrong, and in which combinations: one block of each layer.
    wrong: BTreeMap<Wrong, (Option<Lack>, Vec<Vec<&'l str>>)>,
}

/// A ref and the store that it lacks, where that is what is wrong.
struct Lack {
    line: String,
    store: String,
}

impl<'l> Combinations<'l> {
    /// # Errors
    /// There are too many, or it takes too long.
    fn of(
        raw: &'l Raw,
        base: &Node,
        layers: &'l [Layer],
        told: &'l BTreeSet<Wrong>,
    ) -> Result<Combinations<'l>, UsageError> {
        let mut choices = layers.iter().map(|layer| layer.selectors().len());
        let count = choices.try_fold(1_usize, |count, choice| count.checked_mul(choice));
        if count.is_none_or(|count| count > COMBINATIONS) {
            let text = format!(
                "more than {COMBINATIONS} combinations of layers: cannot check refs and sets in all of them"
            );
            return Err(UsageError::new(text));
        }
        let mut all = Combinations {
            raw,
            layers,
            told,
            count: 0,
            stores: HashSet::new(),
            wrong: BTreeMap::new(),
        };
        all.combine(base, &mut Vec::new())?;
        Ok(all)
    }

    /// Puts the blocks of the layers that nothing is chosen of over `root` in every combination.
    fn combine(&mut self, root: &Node, chosen: &mut Vec<&'l str>) -> Result<(), UsageError> {
        let Some(layer) = self.layers.get(chosen.len()) else {
            self.raw.deadline.go_on().map_err(late)?;
            self.count += 1;
            self.check(root, chosen);
            return Ok(());
        };
        for selector in layer.selectors() {
            let combined = with_block(self.raw, root, layer, selector);
            chosen.push(selector);
            match combined {
                Ok(root) => self.combine(&root, chosen)?,
                Err(error) => self.found(error, None, chosen),
            }
            chosen.pop();
        }
        Ok(())
    }

    /// Checks one combination.
    fn check(&mut self, root: &Node, chosen: &[&'l str]) {
        // Only variables are for other machines to tell.
        let nothing = |_: &str| false;
        let (Configured { refs, .. }, found, _) = section(self.raw, root, Some(&nothing), true);
        for wrong in found {
            self.found(wrong, None, chosen);
        }
        for (store, _) in refs.of("stores") {
            if !self.stores.contains(store) {
                self.stores.insert(store.to_owned());
            }
        }
        let mut has_refs = false;
        for (name, entry) in refs.of("refs") {
            has_refs = true;
            let Some(store) = entry.text("store").filter(|store| is_identifier(store)) else {
                continue;
            };
            if refs.entry("stores", store).is_none() {
                let place = place_of(self.raw, entry, "store").unwrap_or(root.place);
                // What a variable has is in no message.
                let written = entry
                    .given("store")
                    .and_then(|given| given.written.as_ref());
                let shown = match written {
                    Some(Value::Text(written)) => written,
                    _ => store,
                };
                let text = format!("{SECTION}.refs.{name}.store: no layer has the store {shown}");
                let lack = Some(Lack {
                    line: format!("{name} (store {shown})"),
                    store: store.to_owned(),
                });
                self.found(wrong(place, text), lack, chosen);
            }
        }
        let roles = self.layers.iter().zip(chosen);
        let roles = roles.filter(|(layer, _)| has_refs && layer.dimension.name == "role");
        for (layer, role) in roles.filter(|(_, role)| !is_identifier(role)) {
            let place = layer.place(role).unwrap_or(root.place);
            let text = format!("bad name of a role that asks for refs: {IDENTIFIER}");
            self.found(wrong(place, text), None, chosen);
        }
    }

    /// Keeps what is wrong.
    fn found(&mut self, wrong: Wrong, lack: Option<Lack>, chosen: &[&'l str]) {
        if !self.told.contains(&wrong) {
            let (_, combinations) = self.wrong.entry(wrong).or_insert((lack, Vec::new()));
            combinations.push(chosen.to_vec());
        }
    }

    /// What is wrong, with the blocks that cause it; and, a line each, which refs cannot be had where. Gives what was found
    /// without the blocks.
    fn result(self, wrongs: &mut Vec<Wrong>, lacking: &mut Vec<String>) -> Vec<Wrong> {
        let found = self.wrong.keys().cloned().collect();
        let choices: Vec<Vec<&str>> = self.layers.iter().map(Layer::selectors).collect();
        for (wrong, (lack, combinations)) in self.wrong {
            let mut layers = self.layers.iter();
            let own = layers.position(|layer| layer.file == wrong.place.file);
            let everywhere = combinations.len() == self.count;
            let mut dimensions: Vec<usize> = (0..choices.len()).collect();
            // What is wrong in a block is wrong because of it.
            dimensions.sort_by_key(|dimension| Some(*dimension) != own);
            let blocks = causes(combinations, &dimensions, &choices, self.count);
            if let Some(lack) = lack.filter(|lack| self.stores.contains(&lack.store)) {
                lacking.extend(blocks.map(|blocks| format!("{blocks}: {}", lack.line)));
            } else if everywhere && own.is_none() {
                wrongs.push(wrong);
            } else {
                wrongs.extend(blocks.map(|blocks| in_block(wrong.clone(), &blocks)));
            }
        }
        found
    }
}

/// The blocks behind what these of `count` combinations show: a block alone if it does so whatever the others are; those
/// of the first of `dimensions` come first.
fn causes<'l>(
    combinations: Vec<Vec<&'l str>>,
    dimensions: &[usize],
    choices: &[Vec<&'l str>],
    count: usize,
) -> impl Iterator<Item = String> {
    let mut alone = Vec::new();
    let mut rest = combinations.clone();
    for &dimension in dimensions {
        for selector in &choices[dimension] {
            let here = |combination: &Vec<&str>| combination.get(dimension) == Some(selector);
            let found = combinations.iter().filter(|it| here(it)).count();
            if found == count / choices[dimension].len() && rest.iter().any(here) {
                alone.push(clipped(selector));
                rest.retain(|combination| !here(combination));
            }
        }
    }
    let rest = rest.into_iter().map(|blocks| clipped(blocks.join(", ")));
    alone.into_iter().chain(rest)
}
