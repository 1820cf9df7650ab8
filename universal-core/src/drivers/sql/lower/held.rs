//! Members that an expression asks for often, read once a row on PostgreSQL.
//!
//! There each `body -> 'n'` looks through the body again, and unpacks it first where it is large. SQLite keeps the body
//! that it has parsed last.

use crate::{
    drivers::sql::{
        dialect::Dialect,
        lower::{
            condition::Lowering,
            postgres, postgres_values, sqlite_values,
            term::{Member, Term},
        },
    },
    expr::{Field, Node, Place, Root, Step, is_known},
};

/// How often the members that occur twice must be asked for in all before a row of their own is cheaper.
const OFTEN: usize = 4;
/// The row, whose columns are named by a letter and a number.
const ROW: &str = "held";

/// The members that are held, and in which forms they are asked for.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<HeldMember>);

#[derive(Debug)]
struct HeldMember {
    path: Vec<Step>,
    number: bool,
    text: bool,
}

impl<'e> Lowering<'e> {
    /// The condition of the whole tree. Parts of `&&` that ask for columns alone stay beside the row of members: an index
    /// can serve them.
    pub(super) fn whole(&mut self, root: &'e Node) -> String {
        if self.dialect == Dialect::Sqlite || is_known(root) {
            return self.condition(root);
        }
        let parts = match root {
            Node::All(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let (within, beside): (Vec<&'e Node>, Vec<&'e Node>) = parts.iter().partition(|part| asks_for_members(part));
        self.members = Held::of(&within);
        let mut all = |parts: Vec<&'e Node>| {
            let parts: Vec<String> = parts.into_iter().map(|part| format!("({})", self.condition(part))).collect();
            parts.join(" AND ")
        };
        let (beside, within) = (all(beside), all(within));
        match (beside.is_empty(), within.is_empty()) {
            (_, true) => beside,
            (true, false) => self.beneath(&within),
            (false, false) => format!("{beside} AND {}", self.beneath(&within)),
        }
    }

    /// A condition over the members that are held.
    fn beneath(&mut self, condition: &str) -> String {
        let members = std::mem::take(&mut self.members).0;
        if members.is_empty() {
            return condition.to_owned();
        }
        let (mut read, mut made) = (Vec::new(), Vec::new());
        for (number, held) in members.iter().enumerate() {
            let member = Member { body: "body".to_owned(), path: held.path.clone() };
            read.push(format!("{} AS j{number}", postgres::member(&mut self.binds, &member)));
            let json = format!("source.j{number}");
            made.push(json.clone());
            if held.number {
                made.push(format!("{} AS n{number}", postgres_values::number_of_json(&json)));
            }
            if held.text {
                made.push(format!("{} AS t{number}", postgres_values::text_of_json(&json)));
            }
        }
        let read = read.join(", ");
        if made.len() == members.len() {
            return format!("(SELECT {condition} FROM (SELECT {read} OFFSET 0) AS {ROW})");
        }
        let made = made.join(", ");
        format!("(SELECT {condition} FROM (SELECT {made} FROM (SELECT {read} OFFSET 0) AS source OFFSET 0) AS {ROW})")
    }

    /// What a name of the document stands for: a column of the row, where it is held.
    pub(super) fn held(&self, place: &Place) -> Term<'e> {
        let number = path(place).and_then(|path| self.members.0.iter().position(|held| held.path == path));
        match number {
            Some(number) => Term::Member(Member::whole(format!("{ROW}.j{number}"))),
            None => Self::place(place),
        }
    }

    /// Whether a term is a column of the row.
    pub(super) fn holds(&self, term: &Term<'_>) -> bool {
        self.number_of(term).is_some()
    }

    fn number_of(&self, term: &Term<'_>) -> Option<usize> {
        let Term::Member(Member { body, path }) = term else { return None };
        let number = body.strip_prefix(ROW)?.strip_prefix(".j")?.parse().ok()?;
        (path.is_empty() && number < self.members.0.len()).then_some(number)
    }

    /// A term as a number that calculations take; NULL for anything else.
    pub(super) fn number(&mut self, term: &Term<'_>) -> String {
        if let Some(number) = self.number_of(term)
            && let Some(held) = self.members.0.get_mut(number)
        {
            held.number = true;
            return format!("{ROW}.n{number}");
        }
        match self.dialect {
            Dialect::Postgres => postgres_values::number(&mut self.binds, term),
            Dialect::Sqlite => sqlite_values::number(&mut self.binds, term),
        }
    }

    /// A term as a text; NULL for anything else.
    pub(super) fn text(&mut self, term: &Term<'_>) -> String {
        if let Some(number) = self.number_of(term)
            && let Some(held) = self.members.0.get_mut(number)
        {
            held.text = true;
            return format!("{ROW}.t{number}");
        }
        match self.dialect {
            Dialect::Postgres => postgres_values::text(&mut self.binds, term),
            Dialect::Sqlite => sqlite_values::text(&mut self.binds, term),
        }
    }
}

impl Held {
    /// The members that these parts ask for twice or more, if that is often enough.
    fn of(parts: &[&Node]) -> Self {
        let mut found: Vec<(Vec<Step>, usize)> = Vec::new();
        for part in parts {
            count(part, &mut found);
        }
        found.retain(|(_, times)| *times > 1);
        if found.iter().map(|(_, times)| times).sum::<usize>() < OFTEN {
            return Self::default();
        }
        Self(found.into_iter().map(|(path, _)| HeldMember { path, number: false, text: false }).collect())
    }
}

fn count(node: &Node, found: &mut Vec<(Vec<Step>, usize)>) {
    if let Node::Place(place) = node
        && let Some(path) = path(place)
    {
        match found.iter_mut().find(|(known, _)| *known == path) {
            Some((_, times)) => *times += 1,
            None => found.push((path, 1)),
        }
    }
    for child in node.children() {
        count(child, found);
    }
}

fn asks_for_members(node: &Node) -> bool {
    match node {
        Node::Place(place) | Node::Has(place) => path(place).is_some(),
        _ => node.children().iter().any(asks_for_members),
    }
}

/// The way to a member of the document's body.
fn path(place: &Place) -> Option<Vec<Step>> {
    match place {
        Place::Field(Field::Document(path)) => Some(path.iter().cloned().map(Step::Name).collect()),
        Place::Within(Root::Doc, path) => Some(path.to_vec()),
        _ => None,
    }
}
