//! What the commands of a page set for the pages around it: variables, blocks, groups of expressions.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

/// What a request and those made for it share, and how this one shows times.
#[derive(Default)]
pub struct Includes {
    shared: OnceCell<Rc<RefCell<Shared>>>,
    /// `config timefmt`.
    pub times: Option<Vec<u8>>,
}

/// What the pages of a response share.
#[derive(Default)]
pub struct Shared {
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    blocks: Vec<(Vec<u8>, Vec<u8>)>,
    groups: Vec<Vec<u8>>,
}

impl Includes {
    /// The same for a request that is made for this one.
    pub fn inherited(&self) -> Self {
        Self { shared: OnceCell::from(self.shared().clone()), times: None }
    }

    /// Whether no page has set anything.
    pub fn is_unused(&self) -> bool {
        self.shared.get().is_none() && self.times.is_none()
    }

    /// What the pages of the response share.
    pub fn shared(&self) -> &Rc<RefCell<Shared>> {
        self.shared.get_or_init(Rc::default)
    }
}

impl Shared {
    /// A group of the last expression that matched, or what a page has set; the name is in lower case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        if let [digit @ b'0'..=b'9'] = name
            && let Some(group) = self.groups.get(usize::from(digit - b'0'))
        {
            return Some(group);
        }
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Sets a variable; the name is in lower case.
    pub fn set(&mut self, name: &[u8], value: Vec<u8>) {
        if let [digit @ b'0'..=b'9'] = name
            && let Some(group) = self.groups.get_mut(usize::from(digit - b'0'))
        {
            *group = value;
            return;
        }
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name.to_vec(), value)),
        }
    }

    /// Keeps the groups of an expression that matched.
    pub fn keep_groups(&mut self, groups: Vec<Vec<u8>>) {
        self.groups = groups;
    }

    /// Begins a block.
    pub fn begin_block(&mut self, name: &[u8]) {
        self.blocks.push((name.to_vec(), Vec::new()));
    }

    /// Appends to the last block.
    pub fn extend_block(&mut self, bytes: &[u8]) {
        if let Some((_, block)) = self.blocks.last_mut() {
            block.extend_from_slice(bytes);
        }
    }

    /// The first block of this name.
    pub fn block(&self, name: &[u8]) -> Option<&[u8]> {
        self.blocks.iter().find(|(known, _)| known == name).map(|(_, block)| block.as_slice())
    }
}
