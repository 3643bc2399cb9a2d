//! Call paths: the operations from a root down to a span, numbered across traces. Two spans with one number were reached the
//! same way. Knows names, not times.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::skeleton::Kind;
use crate::trace::Trace;
use crate::tree::NONE;

/// Most call paths that are told apart; what is beyond has no number.
pub const MAX_CALL_PATHS: usize = 100_000;

/// One step of a call path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Step {
    /// The path of the parent, or [`NONE`].
    above: u32,
    service: u32,
    name: u32,
    kind: Kind,
}

/// Call paths met so far. Numbers are given in the order in which paths are first met, parents before children.
#[derive(Debug, Clone, Default)]
pub struct CallPaths {
    strings: Vec<String>,
    codes: HashMap<String, u32, RandomState>,
    steps: Vec<Step>,
    /// Of each path the steps above it, and the path of its root.
    place: Vec<(u32, u32)>,
    numbers: HashMap<Step, u32, RandomState>,
}

impl CallPaths {
    /// How many paths there are; they are numbered from 0.
    pub fn count(&self) -> u32 {
        self.steps.len() as u32
    }

    /// The path of the parent.
    pub fn above(&self, path: u32) -> Option<u32> {
        let above = self.steps[path as usize].above;
        (above != NONE).then_some(above)
    }

    /// Steps from the root.
    pub fn depth(&self, path: u32) -> u32 {
        self.place[path as usize].0
    }

    /// Service, name and kind of the path's last operation.
    pub fn operation(&self, path: u32) -> (&str, &str, Kind) {
        let step = &self.steps[path as usize];
        (&self.strings[step.service as usize], &self.strings[step.name as usize], step.kind)
    }

    /// Service and name of each step, from the root; the middle of a long path is left out. Takes no longer for a long one.
    pub fn label(&self, path: u32) -> String {
        const WHOLE: u32 = 8;
        const END: u32 = 5;
        let name = |path: u32| {
            let (service, name, _) = self.operation(path);
            format!("{service} {name}").trim().to_owned()
        };
        let (above, root) = self.place[path as usize];
        let shown = if above < WHOLE { above + 1 } else { END };
        let mut names: Vec<String> =
            std::iter::successors(Some(path), |path| self.above(*path)).take(shown as usize).map(name).collect();
        if above >= WHOLE {
            names.push(format!("({} more)", above - END));
            names.push(name(root));
        }
        names.reverse();
        names.join(" > ")
    }

    /// The number of each span's path; new ones are added. [`NONE`] past [`MAX_CALL_PATHS`]. Linear in spans.
    pub fn number(&mut self, trace: &Trace) -> Vec<u32> {
        let skeleton = &trace.skeleton;
        let codes: Vec<u32> = skeleton.strings().iter().map(|text| self.code(text)).collect();
        let mut numbers = vec![NONE; skeleton.span_count() as usize];
        for span in trace.tree.preorder() {
            let above = trace.tree.parent(*span).map_or(NONE, |parent| numbers[parent as usize]);
            // Below a path without a number there is none.
            if trace.tree.parent(*span).is_some() && above == NONE {
                continue;
            }
            let service = codes[skeleton.service_code(*span) as usize];
            let name = codes[skeleton.name_code(*span) as usize];
            numbers[*span as usize] = self.step(Step { above, service, name, kind: skeleton.kind(*span) });
        }
        numbers
    }

    /// The number here of each of another's paths; new ones are added. [`NONE`] past [`MAX_CALL_PATHS`].
    pub fn adopt(&mut self, other: &Self) -> Vec<u32> {
        let codes: Vec<u32> = other.strings.iter().map(|text| self.code(text)).collect();
        let mut numbers: Vec<u32> = Vec::with_capacity(other.steps.len());
        // Parents have smaller numbers than their children.
        for step in &other.steps {
            let above = if step.above == NONE { NONE } else { numbers[step.above as usize] };
            let number = if step.above != NONE && above == NONE {
                NONE
            } else {
                let (service, name) = (codes[step.service as usize], codes[step.name as usize]);
                self.step(Step { above, service, name, kind: step.kind })
            };
            numbers.push(number);
        }
        numbers
    }

    fn step(&mut self, step: Step) -> u32 {
        if let Some(number) = self.numbers.get(&step) {
            return *number;
        }
        if self.steps.len() >= MAX_CALL_PATHS {
            return NONE;
        }
        let number = self.steps.len() as u32;
        self.place.push(match step.above {
            NONE => (0, number),
            above => (self.place[above as usize].0 + 1, self.place[above as usize].1),
        });
        self.steps.push(step);
        self.numbers.insert(step, number);
        number
    }

    /// The number of each span's path, of those that were met before; [`NONE`] for others. Linear in spans.
    pub(crate) fn find_all(&self, trace: &Trace) -> Vec<u32> {
        let skeleton = &trace.skeleton;
        let codes: Vec<Option<u32>> = skeleton.strings().iter().map(|text| self.codes.get(text).copied()).collect();
        let mut numbers = vec![NONE; skeleton.span_count() as usize];
        for span in trace.tree.preorder() {
            let above = trace.tree.parent(*span).map_or(NONE, |parent| numbers[parent as usize]);
            let operation = codes[skeleton.service_code(*span) as usize].zip(codes[skeleton.name_code(*span) as usize]);
            let (true, Some((service, name))) = (trace.tree.parent(*span).is_none() || above != NONE, operation) else {
                continue;
            };
            let step = Step { above, service, name, kind: skeleton.kind(*span) };
            numbers[*span as usize] = self.numbers.get(&step).copied().unwrap_or(NONE);
        }
        numbers
    }

    /// The memory that it takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        const TEXT: usize = 64;
        const STEP: usize = 64;
        let texts: usize = self.strings.iter().map(|text| 2 * text.len() + TEXT).sum();
        texts + STEP * self.steps.len()
    }

    /// The number of one span's path, if it was met before. Linear in the span's depth.
    pub fn find(&self, trace: &Trace, span: u32) -> Option<u32> {
        let mut spans: Vec<u32> = std::iter::successors(Some(span), |span| trace.tree.parent(*span)).collect();
        spans.reverse();
        let skeleton = &trace.skeleton;
        let mut above = NONE;
        for span in spans {
            let service = *self.codes.get(skeleton.service(span))?;
            let name = *self.codes.get(skeleton.name(span))?;
            above = *self.numbers.get(&Step { above, service, name, kind: skeleton.kind(span) })?;
        }
        Some(above)
    }

    fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = self.strings.len() as u32;
        self.strings.push(text.to_owned());
        self.codes.insert(text.to_owned(), code);
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation;

    #[test]
    fn numbers_labels_and_finding() {
        let text = |depth: usize| {
            let line = |at: usize| format!("{}s | n{at} | server | {at}..{} |\n", " ".repeat(at), 1_000 - at);
            notation::trace(&(0..depth).map(line).collect::<String>())
        };
        let mut paths = CallPaths::default();
        let long = text(20);
        assert_eq!(paths.number(&long), (0..20).collect::<Vec<u32>>());
        assert_eq!(paths.label(2), "s n0 > s n1 > s n2");
        assert_eq!(paths.label(19), "s n0 > (14 more) > s n15 > s n16 > s n17 > s n18 > s n19");
        assert_eq!(paths.find(&long, 7), Some(7));
        let mut other = CallPaths::default();
        other.number(&notation::trace("s | other | server | 0..9 |"));
        assert_eq!(other.adopt(&paths), (1..21).collect::<Vec<u32>>());
        assert_eq!(other.find(&long, 7), Some(8));
        assert_eq!(paths.find(&notation::trace("s | other | server | 0..9 |"), 0), None);
    }
}
