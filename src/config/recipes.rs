//! The recipes of `recipes.yaml`, which says what they are.

#[cfg(feature = "config")]
mod written;

use crate::schema::{Key, Section};

/// One recipe.
pub struct Recipe {
    /// The name by which a section asks for it.
    pub name: &'static str,
    /// One line for people: what it reads, and where the secret `prod/api-key` is.
    pub reads: &'static str,
    /// The program and the version that it was tried with.
    pub tried_with: &'static str,
    /// The parameters that its section must give.
    pub needs: Vec<Key>,
    /// The other parameters.
    pub takes: Vec<Key>,
    /// What it says, with `{PARAMETER}` beside the placeholders for the name.
    pub section: Section,
}

/// Every recipe, in the order in which they are listed.
pub fn recipes() -> impl Iterator<Item = &'static Recipe> {
    #[cfg(feature = "config")]
    return written::all().iter().map(written::Written::recipe);
    #[cfg(not(feature = "config"))]
    std::iter::empty()
}

/// The recipe called `name`.
pub fn recipe(name: &str) -> Option<&'static Recipe> {
    #[cfg(feature = "config")]
    return written::called(name).map(written::Written::recipe);
    #[cfg(not(feature = "config"))]
    recipes().find(|recipe| recipe.name == name)
}

/// The parameters of a section with or without a recipe: those that it must give, and the others.
pub fn parameters(recipe: Option<&'static Recipe>) -> [&'static [Key]; 2] {
    recipe.map_or([&[], &[]], |it| [&it.needs, &it.takes])
}
