//! A text that is being read, character by character.

/// A text that is being read.
pub struct Reader<'a> {
    pub rest: &'a str,
}

impl Reader<'_> {
    pub fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    /// Passes over `count` bytes of ASCII.
    pub fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Passes over as many `c` as there are, and says how many.
    pub fn run(&mut self, c: char) -> usize {
        let rest = self.rest.trim_start_matches(c);
        let count = self.rest.len() - rest.len();
        self.rest = rest;
        count
    }

    /// Passes over spaces and tabs, and says whether there were any.
    pub fn blanks(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        let any = rest.len() < self.rest.len();
        self.rest = rest;
        any
    }
}
