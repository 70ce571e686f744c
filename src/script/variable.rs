//! Variables: what a `$name` means in a product, and where its value comes from while serving.
//!
//! A built-in name compiles to a function pointer. A name the configuration defines (`map`, `set`, captures) gets a
//! slot; it may be used before it is defined, so slots are filled in by [`Names::finish`].

use crate::conf::diagnostic::{Diagnostic, Kind};
use hashbrown::HashMap;
use std::borrow::Cow;
use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// What templates are evaluated against: an http request, a stream connection.
pub trait Subject: Sized + 'static {
    /// The values of the names the configuration defines.
    fn slots(&self) -> &Slots;
    /// What those names mean.
    fn definitions(&self) -> &Definitions<Self>;
    /// The text the last regular expression captured.
    fn captures(&self) -> &RefCell<super::regex::Captures>;
    /// Hears that a name is read which only rules of the configuration give a value, and none has.
    fn uninitialized(&self, _name: &str) {}
    /// Writes a line of level alert to the error log.
    fn alert(&self, text: &str);
    /// Writes a line of level error to the error log.
    fn error(&self, text: &str);
}

/// Appends a value and tells whether there is one; the number is the row's own.
pub type Get<S> = fn(&S, u32, &mut Vec<u8>) -> bool;
/// Appends the value of a name in a family such as `$http_…`.
pub type GetNamed<S> = fn(&S, &[u8], &mut Vec<u8>) -> bool;
/// Takes a value the configuration assigns.
pub type Assign<S> = fn(&mut S, &[u8]);

/// A built-in variable.
pub struct Variable<S: 'static> {
    /// Without the `$`.
    pub name: &'static str,
    /// Its value.
    pub get: Get<S>,
    /// Passed to `get`.
    pub data: u32,
    /// What `set` does with it; `None` refuses to.
    pub assign: Option<Assign<S>>,
    /// Whether a configuration may define it anew.
    pub changeable: bool,
}

impl<S> Clone for Variable<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Variable<S> {}

impl<S: 'static> Variable<S> {
    /// A variable that cannot be set.
    pub const fn new(name: &'static str, get: Get<S>) -> Self {
        Self { name, get, data: 0, assign: None, changeable: false }
    }

    /// The same with a number for `get`.
    pub const fn data(mut self, data: u32) -> Self {
        self.data = data;
        self
    }

    /// The same, for a name that a configuration may define anew.
    pub const fn changeable(mut self) -> Self {
        self.changeable = true;
        self
    }

    /// The same, settable.
    pub const fn assign(mut self, assign: Assign<S>) -> Self {
        self.assign = Some(assign);
        self
    }
}

/// A family of names by prefix.
pub struct Family<S: 'static> {
    /// What the names begin with.
    pub prefix: &'static str,
    /// The value of the rest of the name.
    pub get: GetNamed<S>,
}

impl<S> Clone for Family<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Family<S> {}

/// A value computed from others: `map`, `geo`, `split_clients`.
pub trait Compute<S>: Send + Sync {
    /// Appends the value and tells whether there is one.
    fn compute(&self, subject: &S, out: &mut Vec<u8>) -> bool;

    /// Whether the value is computed anew at each use.
    fn volatile(&self) -> bool {
        false
    }
}

/// What a defined name means.
pub enum Definition<S> {
    /// Whatever was put into its slot (captures).
    Stored,
    /// What a rule puts into its slot; empty before that, and reading it then is worth a warning.
    Written(Arc<str>),
    /// What a rule puts into its slot; before that the built-in of the name.
    Builtin(Get<S>, u32),
    /// What a rule puts into its slot; before that one of a family.
    Named(GetNamed<S>, Box<[u8]>),
    /// A computation, kept in its slot once done.
    Computed(Arc<dyn Compute<S>>),
}

impl<S> Clone for Definition<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Stored => Self::Stored,
            Self::Written(name) => Self::Written(name.clone()),
            Self::Builtin(get, data) => Self::Builtin(*get, *data),
            Self::Named(get, name) => Self::Named(*get, name.clone()),
            Self::Computed(compute) => Self::Computed(compute.clone()),
        }
    }
}

/// The number of a defined name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(pub u16);

/// All names of a configuration: those it defines, and the built-in ones for texts that are read while serving.
pub struct Definitions<S: 'static> {
    defined: Box<[Definition<S>]>,
    slots: HashMap<String, SlotId>,
    builtin: HashMap<&'static str, Variable<S>>,
    brought: Brought<S>,
    families: Vec<Family<S>>,
}

impl<S> Default for Definitions<S> {
    fn default() -> Self {
        Self {
            defined: Box::new([]),
            slots: HashMap::new(),
            builtin: HashMap::new(),
            brought: HashMap::new(),
            families: Vec::new(),
        }
    }
}

impl<S> Definitions<S> {
    /// The slot of a name, for groups an expression names.
    pub fn named(&self, name: &str) -> Option<SlotId> {
        self.slots.get(name).copied()
    }

    /// How many slots a subject needs.
    pub const fn len(&self) -> usize {
        self.defined.len()
    }
}

/// Appends the value of the variable of this name, in lower case, and tells whether there is one.
pub fn find<S: Subject>(subject: &S, name: &str, out: &mut Vec<u8>) -> bool {
    let known = subject.definitions();
    if let Some(id) = known.named(name) {
        return read(subject, id, out);
    }
    if let Some(variable) = known.builtin.get(name) {
        return (variable.get)(subject, variable.data, out);
    }
    if let Some(compute) = known.brought.get(name) {
        return compute.compute(subject, out);
    }
    let family = known.families.iter().find_map(|family| Some((family.get, name.strip_prefix(family.prefix)?)));
    family.is_some_and(|(get, rest)| get(subject, rest.as_bytes(), out))
}

/// One value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Unset,
    Absent,
    Value(Vec<u8>),
}

/// The values of a subject's defined names, if the configuration defines any. A request and those made for it share theirs.
#[derive(Clone, Debug, Default)]
pub struct Slots(Option<Rc<RefCell<Vec<Slot>>>>);

impl Slots {
    /// Makes all values unknown again, for `count` names. Those who share the values so far keep them.
    pub fn reset(&mut self, count: usize) {
        match self.0.as_mut().and_then(Rc::get_mut).filter(|_| count > 0) {
            Some(slots) => {
                let slots = slots.get_mut();
                slots.clear();
                slots.resize(count, Slot::Unset);
            }
            None => self.0 = (count > 0).then(|| Rc::new(RefCell::new(vec![Slot::Unset; count]))),
        }
    }

    /// Stores a value.
    pub fn put(&self, id: SlotId, value: &[u8]) {
        let Some(slots) = &self.0 else { return };
        match slots.borrow_mut().get_mut(usize::from(id.0)) {
            Some(Slot::Value(kept)) => {
                kept.clear();
                kept.extend_from_slice(value);
            }
            Some(slot) => *slot = Slot::Value(value.to_vec()),
            None => {}
        }
    }

    /// Stores that there is none.
    pub fn clear(&self, id: SlotId) {
        if let Some(slots) = &self.0
            && let Some(slot) = slots.borrow_mut().get_mut(usize::from(id.0))
        {
            *slot = Slot::Absent;
        }
    }

    fn at(&self, id: SlotId) -> Option<Ref<'_, Slot>> {
        Ref::filter_map(self.0.as_ref()?.borrow(), |slots| slots.get(usize::from(id.0))).ok()
    }
}

/// Appends the value of a defined name.
pub fn read<S: Subject>(subject: &S, id: SlotId, out: &mut Vec<u8>) -> bool {
    if let Some(slot) = subject.slots().at(id) {
        match &*slot {
            Slot::Value(value) => {
                out.extend_from_slice(value);
                return true;
            }
            Slot::Absent => return false,
            Slot::Unset => {}
        }
    }
    let compute = match subject.definitions().defined.get(usize::from(id.0)) {
        Some(Definition::Computed(compute)) => compute,
        Some(Definition::Builtin(get, data)) => return get(subject, *data, out),
        Some(Definition::Named(get, name)) => return get(subject, name, out),
        Some(Definition::Written(name)) => {
            subject.uninitialized(name);
            subject.slots().put(id, b"");
            return true;
        }
        Some(Definition::Stored) | None => return false,
    };
    let start = out.len();
    let found = compute.compute(subject, out);
    if !compute.volatile() {
        match out.get(start..) {
            Some(value) if found => subject.slots().put(id, value),
            _ => subject.slots().clear(id),
        }
    }
    found
}

/// Every name known while a configuration compiles.
pub struct Names<S: Subject> {
    builtin: HashMap<&'static str, Variable<S>>,
    families: Vec<Family<S>>,
    slots: HashMap<String, SlotId>,
    definitions: Vec<Option<Definition<S>>>,
    order: Vec<String>,
    used: hashbrown::HashSet<String>,
    brought: Brought<S>,
}

/// Built-in names whose values are computed and kept.
type Brought<S> = HashMap<&'static str, Arc<dyn Compute<S>>>;

/// What a name compiles to.
pub enum Meaning<S: 'static> {
    /// A built-in.
    Builtin(Variable<S>),
    /// One of a family.
    Named(GetNamed<S>, Box<[u8]>),
    /// A slot.
    Slot(SlotId),
}

/// A variable that is defined already and cannot be defined anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate(String);

impl Duplicate {
    /// nginx's words for it.
    pub fn complaint(self) -> Diagnostic {
        Diagnostic::emerg(format!("the duplicate \"{}\" variable", self.0)).kind(Kind::Redefined)
    }
}

impl<S: Subject> Names<S> {
    /// Names with these built-ins.
    pub fn new(variables: impl Iterator<Item = Variable<S>>, families: Vec<Family<S>>) -> Self {
        Self {
            builtin: variables.map(|variable| (variable.name, variable)).collect(),
            families,
            slots: HashMap::new(),
            definitions: Vec::new(),
            order: Vec::new(),
            used: hashbrown::HashSet::new(),
            brought: HashMap::new(),
        }
    }

    /// What `name` means; a name nobody knows yet gets a slot, to be defined by the end.
    pub fn meaning(&mut self, name: &str) -> Meaning<S> {
        let lower = lower(name);
        if !self.used.contains(&*lower) {
            self.used.insert(lower.clone().into_owned());
        }
        if let Some(id) = self.slots.get(&*lower) {
            return Meaning::Slot(*id);
        }
        if let Some(variable) = self.builtin.get(&*lower) {
            return Meaning::Builtin(*variable);
        }
        for family in &self.families {
            if let Some(rest) = lower.strip_prefix(family.prefix) {
                return Meaning::Named(family.get, rest.as_bytes().into());
            }
        }
        Meaning::Slot(self.slot(&lower))
    }

    /// Whether any name with this beginning was asked for.
    pub fn uses(&self, prefix: &str) -> bool {
        self.used.iter().any(|name| name.starts_with(prefix))
    }

    fn slot(&mut self, name: &str) -> SlotId {
        if let Some(id) = self.slots.get(name) {
            return *id;
        }
        let id = SlotId(u16::try_from(self.definitions.len()).unwrap_or(u16::MAX));
        self.slots.insert(name.to_owned(), id);
        self.definitions.push(self.brought.get(name).cloned().map(Definition::Computed));
        self.order.push(name.to_owned());
        id
    }

    /// Brings a built-in name whose value is computed, and kept where the name is used.
    ///
    /// # Errors
    /// nginx's words when the configuration has defined it.
    pub fn bring(&mut self, name: &'static str, compute: Arc<dyn Compute<S>>) -> Result<(), Duplicate> {
        let id = self.slots.get(name).map(|id| usize::from(id.0));
        match id.and_then(|id| self.definitions.get_mut(id)) {
            Some(Some(_)) => return Err(Duplicate(name.to_owned())),
            Some(slot) => *slot = Some(Definition::Computed(compute.clone())),
            None => {}
        }
        self.brought.insert(name, compute);
        Ok(())
    }

    /// Gives `name` a meaning.
    ///
    /// # Errors
    /// nginx's words when the name is a built-in that cannot be defined.
    pub fn define(&mut self, name: &str, definition: Definition<S>) -> Result<SlotId, Duplicate> {
        let lower = name.to_ascii_lowercase();
        let builtin = self.builtin.get(lower.as_str()).copied();
        if self.brought.contains_key(lower.as_str()) || builtin.is_some_and(|variable| !variable.changeable) {
            return Err(Duplicate(lower));
        }
        let definition = match (builtin, definition) {
            (Some(builtin), Definition::Stored | Definition::Written(_)) => {
                Definition::Builtin(builtin.get, builtin.data)
            }
            (_, definition) => definition,
        };
        let id = self.slot(&lower);
        if let Some(slot) = self.definitions.get_mut(usize::from(id.0)) {
            let stands = match (&slot, &definition) {
                (None, _) | (_, Definition::Computed(_)) => false,
                (Some(Definition::Computed(_)), _) => true,
                (Some(_), other) => {
                    matches!(other, Definition::Written(_) | Definition::Named(..) | Definition::Builtin(..))
                }
            };
            // A computation stays, whatever rules put into its slot; groups stay too.
            if !stands {
                *slot = Some(definition);
            }
        }
        Ok(id)
    }

    /// Gives `name` whatever rules put there.
    ///
    /// # Errors
    /// As [`Self::define`].
    pub fn write(&mut self, name: &str) -> Result<SlotId, Duplicate> {
        let lower = name.to_ascii_lowercase();
        let family = self.families.iter().find_map(|family| Some((family.get, lower.strip_prefix(family.prefix)?)));
        let definition = match family {
            Some((get, rest)) => Definition::Named(get, rest.as_bytes().into()),
            None => Definition::Written(lower.as_str().into()),
        };
        self.define(name, definition)
    }

    /// Every name there is so far.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let own = self.builtin.keys().chain(self.brought.keys()).copied();
        own.chain(self.order.iter().map(String::as_str))
    }

    /// The built-in called `name`.
    pub fn builtin(&self, name: &str) -> Option<Variable<S>> {
        self.builtin.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// The names that were used and never defined, in order.
    pub fn unknown(&self) -> Vec<String> {
        let slots = self.definitions.iter().zip(&self.order);
        let open = slots.filter(|(definition, _)| definition.is_none());
        open.map(|(_, name)| name.clone()).collect()
    }

    /// All definitions, in slot order.
    ///
    /// # Errors
    /// nginx's words for a name that was used and never defined.
    pub fn finish(self) -> Result<Definitions<S>, String> {
        let mut all = Vec::with_capacity(self.definitions.len());
        for (definition, name) in self.definitions.into_iter().zip(&self.order) {
            all.push(definition.ok_or_else(|| format!("unknown \"{name}\" variable"))?);
        }
        let Self { slots, builtin, families, brought, .. } = self;
        Ok(Definitions { defined: all.into(), slots, builtin, brought, families })
    }
}

/// A name in lower case.
fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}
