//! What is kept of a key: one part for each window, session or pane that has rows.

use super::accumulator::Accumulator;

/// Accumulators of one part, one for each call; a single one needs no allocation.
#[derive(Clone, Debug)]
pub(super) enum Values {
    One([Accumulator; 1]),
    Many(Box<[Accumulator]>),
}

impl From<Vec<Accumulator>> for Values {
    fn from(values: Vec<Accumulator>) -> Self {
        match <[Accumulator; 1]>::try_from(values) {
            Ok(one) => Self::One(one),
            Err(values) => Self::Many(values.into()),
        }
    }
}

impl Values {
    pub(super) fn empty(calls: usize) -> Self {
        if calls == 1 { Self::One([Accumulator::Empty]) } else { Self::Many(vec![Accumulator::Empty; calls].into()) }
    }

    pub(super) fn as_slice(&self) -> &[Accumulator] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Accumulator] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}

/// Rows of a key that fall into `[start, end)`.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) values: Values,
}

#[derive(Clone, Debug, Default)]
enum Parts {
    #[default]
    None,
    One(Part),
    Many(Vec<Part>),
}

/// The value of a key in the state.
#[derive(Clone, Debug)]
pub(super) struct Group {
    parts: Parts,
    /// When it wants attention next, at the latest; `i64::MAX` for never. There is an entry for this in the operator's timers.
    pub(super) due: i64,
    /// Rows so far, where their order counts. Starts again when the key was forgotten.
    pub(super) arrivals: u64,
    heap: u32,
}

impl Default for Group {
    fn default() -> Self {
        Self { parts: Parts::None, due: i64::MAX, arrivals: 0, heap: 0 }
    }
}

impl Group {
    pub(super) fn parts(&self) -> &[Part] {
        match &self.parts {
            Parts::None => &[],
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts,
        }
    }

    pub(super) fn parts_mut(&mut self) -> &mut [Part] {
        match &mut self.parts {
            Parts::None => &mut [],
            Parts::One(part) => std::slice::from_mut(part),
            Parts::Many(parts) => parts,
        }
    }

    /// Adds a part behind the others and says where it is.
    pub(super) fn push(&mut self, part: Part) -> usize {
        match &mut self.parts {
            Parts::None => {
                self.parts = Parts::One(part);
                0
            }
            Parts::One(_) => {
                let Parts::One(first) = std::mem::take(&mut self.parts) else { unreachable!("matched above") };
                self.parts = Parts::Many(vec![first, part]);
                1
            }
            Parts::Many(parts) => {
                parts.push(part);
                parts.len() - 1
            }
        }
    }

    /// Takes all parts out.
    pub(super) fn take(&mut self) -> Vec<Part> {
        match std::mem::take(&mut self.parts) {
            Parts::None => Vec::new(),
            Parts::One(part) => vec![part],
            Parts::Many(parts) => parts,
        }
    }

    /// Takes the only part out, if there is just one.
    pub(super) fn take_only(&mut self) -> Option<Part> {
        match std::mem::take(&mut self.parts) {
            Parts::One(part) => Some(part),
            other => {
                self.parts = other;
                None
            }
        }
    }

    pub(super) fn put(&mut self, mut parts: Vec<Part>) {
        self.parts = match parts.len() {
            0 => Parts::None,
            1 => Parts::One(parts.remove(0)),
            _ => Parts::Many(parts),
        };
    }

    /// Brings the known size of the heap up to date.
    pub(super) fn measure(&mut self) {
        let many = match &self.parts {
            Parts::Many(parts) => parts.capacity() * size_of::<Part>(),
            _ => 0,
        };
        let values: usize = self
            .parts()
            .iter()
            .map(|part| match &part.values {
                Values::One([value]) => value.heap_size(),
                Values::Many(values) => {
                    values.len() * size_of::<Accumulator>() + values.iter().map(Accumulator::heap_size).sum::<usize>()
                }
            })
            .sum();
        self.heap = u32::try_from(many + values).unwrap_or(u32::MAX);
    }

    pub(super) fn heap(&self) -> usize {
        self.heap as usize
    }
}
