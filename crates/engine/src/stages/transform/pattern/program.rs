//! A pattern as a program: the positions that a partial match can be in, each step in the order of preference.
//!
//! The order is the standard's preferment (ISO/IEC 9075-2, "row pattern matching"): of an alternation the first arm that works; of a
//! greedy quantifier one more repetition rather than none, of a reluctant one none rather than one more; compared from the first row
//! on. A repetition beyond the least number that maps no row is no repetition, so that no loop is endless.
//!
//! Partial matches are kept as an ordered list, as Pike's machine does for regular expressions: when one is complete, those
//! behind it can never be preferred and are dropped; those before it go on.

use std::collections::HashSet;

use weir_plan::operator::Pattern;

/// Where a partial match is: index of an instruction that takes a row.
pub type Position = u32;

/// Instructions that a pattern may need; `{n,m}` is written out.
const MAX_INSTRUCTIONS: usize = 20_000;

#[derive(Clone, Debug)]
enum Instruction {
    /// Takes a row that is mapped to this variable, and goes on with the next instruction.
    Row(u32),
    /// Two ways, the preferred first.
    Split(usize, usize),
    Jump(usize),
    /// A repetition that is not needed begins; the number is the loop's.
    Enter(usize),
    /// The repetition ends; it must have taken a row.
    Leave(usize),
    Accept,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Program {
    code: Vec<Instruction>,
    loops: usize,
    /// For each instruction that takes a row, what can follow the row; for `code.len()`, what a match can begin with.
    follows: Vec<Follow>,
}

/// What can come next, the preferred first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    pub positions: Vec<Position>,
    /// The match is complete here. Nothing comes behind it, as nothing there could be preferred.
    pub accepts: bool,
}

impl Program {
    /// Compiles a pattern, or says what is wrong with it.
    pub fn compile(pattern: &Pattern) -> Result<Self, String> {
        let mut program = Self { code: Vec::new(), loops: 0, follows: Vec::new() };
        program.emit(pattern)?;
        program.push(Instruction::Accept)?;
        program.follows = (0..program.code.len())
            .map(|at| match program.code[at] {
                Instruction::Row(_) => program.closure(at + 1),
                _ => Follow::default(),
            })
            .collect();
        let start = program.closure(0);
        program.follows.push(start);
        Ok(program)
    }

    /// What a match begins with.
    pub fn start(&self) -> &Follow {
        &self.follows[self.code.len()]
    }

    /// What follows the row taken at a position.
    pub fn follow(&self, position: Position) -> &Follow {
        &self.follows[position as usize]
    }

    /// The variable that a row taken at a position is mapped to.
    pub fn variable(&self, position: Position) -> usize {
        match self.code[position as usize] {
            Instruction::Row(variable) => variable as usize,
            _ => unreachable!("invariant: positions are instructions that take rows"),
        }
    }

    fn push(&mut self, instruction: Instruction) -> Result<usize, String> {
        if self.code.len() >= MAX_INSTRUCTIONS {
            return Err("the pattern's quantifiers multiply to more than 20,000 steps; use smaller numbers of repetitions".into());
        }
        self.code.push(instruction);
        Ok(self.code.len() - 1)
    }

    fn emit(&mut self, pattern: &Pattern) -> Result<(), String> {
        match pattern {
            Pattern::Variable(variable) => {
                self.push(Instruction::Row(*variable as u32))?;
            }
            Pattern::Sequence(parts) => {
                for part in parts {
                    self.emit(part)?;
                }
            }
            Pattern::Alternation(arms) => {
                let mut ends = Vec::new();
                for (n, arm) in arms.iter().enumerate() {
                    if n + 1 == arms.len() {
                        self.emit(arm)?;
                        break;
                    }
                    let split = self.push(Instruction::Accept)?;
                    self.emit(arm)?;
                    ends.push(self.push(Instruction::Accept)?);
                    self.code[split] = Instruction::Split(split + 1, self.code.len());
                }
                for end in ends {
                    self.code[end] = Instruction::Jump(self.code.len());
                }
            }
            Pattern::Repeat { pattern, min, max, greedy } => {
                for _ in 0..*min {
                    self.emit(pattern)?;
                }
                match max {
                    None => {
                        let split = self.push(Instruction::Accept)?;
                        self.repetition(pattern)?;
                        self.push(Instruction::Jump(split))?;
                        self.code[split] = self.choice(split, *greedy);
                    }
                    Some(max) => {
                        let mut splits = Vec::new();
                        for _ in *min..*max {
                            splits.push(self.push(Instruction::Accept)?);
                            self.repetition(pattern)?;
                        }
                        for split in splits {
                            self.code[split] = self.choice(split, *greedy);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn repetition(&mut self, pattern: &Pattern) -> Result<(), String> {
        let number = self.loops;
        self.loops += 1;
        self.push(Instruction::Enter(number))?;
        self.emit(pattern)?;
        self.push(Instruction::Leave(number))?;
        Ok(())
    }

    /// Between what follows and the end of what is written so far.
    fn choice(&self, at: usize, greedy: bool) -> Instruction {
        let (more, done) = (at + 1, self.code.len());
        if greedy { Instruction::Split(more, done) } else { Instruction::Split(done, more) }
    }

    /// All that can be reached from an instruction without taking a row, in the order of preference.
    fn closure(&self, from: usize) -> Follow {
        let mut follow = Follow::default();
        let mut taken = vec![false; self.code.len()];
        // Who comes again to the same place finds nothing that is preferred to what was found the first time.
        let mut seen = HashSet::new();
        // What is to be looked at, the next last, each with the loops entered since the last row.
        let mut stack = vec![(from, Vec::<usize>::new())];
        while let Some((at, mut entered)) = stack.pop() {
            if !seen.insert((at, entered.clone())) {
                continue;
            }
            match &self.code[at] {
                Instruction::Row(_) => {
                    if !std::mem::replace(&mut taken[at], true) {
                        follow.positions.push(at as Position);
                    }
                }
                Instruction::Split(first, second) => {
                    stack.push((*second, entered.clone()));
                    stack.push((*first, entered));
                }
                Instruction::Jump(to) => stack.push((*to, entered)),
                Instruction::Enter(number) => {
                    entered.push(*number);
                    stack.push((at + 1, entered));
                }
                Instruction::Leave(number) => {
                    if !entered.contains(number) {
                        stack.push((at + 1, entered));
                    }
                }
                Instruction::Accept => {
                    follow.accepts = true;
                    break;
                }
            }
        }
        follow
    }
}

/// Whether a pattern can be matched by no row at all.
pub fn is_nullable(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Variable(_) => false,
        Pattern::Sequence(parts) => parts.iter().all(is_nullable),
        Pattern::Alternation(arms) => arms.iter().any(is_nullable),
        Pattern::Repeat { pattern, min, max, .. } => *min == 0 || *max == Some(0) || is_nullable(pattern),
    }
}

/// Whether a match can go on for as long as its rows allow.
pub fn is_unbounded(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Variable(_) => false,
        Pattern::Sequence(parts) | Pattern::Alternation(parts) => parts.iter().any(is_unbounded),
        Pattern::Repeat { pattern, max, .. } => max.is_none() || is_unbounded(pattern),
    }
}

/// The variable that every match begins with, where there is one.
pub fn first_variable(pattern: &Pattern) -> Option<usize> {
    match pattern {
        Pattern::Variable(variable) => Some(*variable),
        Pattern::Sequence(parts) => parts.first().filter(|first| !is_nullable(first)).and_then(first_variable),
        Pattern::Alternation(arms) => {
            let first = arms.first().and_then(first_variable)?;
            arms.iter().all(|arm| first_variable(arm) == Some(first)).then_some(first)
        }
        Pattern::Repeat { pattern, min, max, .. } => {
            if *min == 0 || *max == Some(0) {
                None
            } else {
                first_variable(pattern)
            }
        }
    }
}
