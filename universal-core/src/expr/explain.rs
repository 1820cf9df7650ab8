//! Why an expression answered as it did: its clauses, each with its answer and the values it saw.

use serde_json::Value;

use crate::{
    clock::Timestamp,
    expr::{
        ast::Node,
        environment::Environment,
        eval::{Truth, condition, value},
        expression::Expression,
        print, time,
        value::View,
    },
};

/// The answer of an expression about one document, and what it comes from.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The answer.
    pub truth: Truth,
    /// The clause that alone settles the answer, or the smallest part whose clauses do so together.
    pub decided_by: Decider,
    /// The parts that `&&`, `||` and `!` join, in their order.
    pub clauses: Vec<Clause>,
}

/// The part that settles an answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Decider {
    /// Its normal form.
    pub text: String,
    /// Where it begins in the normal form of the whole, in bytes.
    pub position: usize,
}

/// A part without `&&` and `||` outside of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Clause {
    /// Its normal form.
    pub text: String,
    /// Where it begins in the normal form of the whole, in bytes.
    pub position: usize,
    /// Its answer.
    pub truth: Truth,
    /// The fields it asks for and the values it calculates.
    pub values: Vec<Seen>,
    /// Why it is an error, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// A value that a clause saw.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// What it is the value of.
    pub text: String,
    /// The value; moments are texts in RFC 3339, durations texts such as `"90s"`. Absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// Why a clause is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Why {
    /// A value that it asks for is not there.
    Missing,
    /// What it does cannot be done with values of these types.
    Types,
}

impl Truth {
    /// Its name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Error => "error",
        }
    }
}

impl serde::Serialize for Truth {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Expression {
    /// Evaluates it as [`evaluate`](Self::evaluate) does, and says how the answer comes about.
    ///
    /// ```
    /// use universal_core::expr::{Environment, Expression, Scope, Truth};
    /// let rule = Expression::parse("doc.open == true && doc.level > 3", Scope::ListRule)?;
    /// let document = serde_json::json!({"open": true, "level": 2});
    /// let explained = rule.explain(&Environment::new("a", document.as_object().unwrap()));
    /// assert_eq!(explained.truth, Truth::False);
    /// assert_eq!(explained.decided_by.text, "doc.level > 3");
    /// assert_eq!(explained.clauses[1].values[0].value, Some(2.into()));
    /// # Ok::<(), universal_core::Error>(())
    /// ```
    #[must_use]
    pub fn explain(&self, environment: &Environment<'_>) -> Explanation {
        let whole = self.to_text();
        let mut clauses = Vec::new();
        collect(self.root(), environment, &whole, &mut clauses);
        let decider = decider(self.root(), environment);
        let text = print::node(decider);
        // It begins at its first clause, or with the `!` and parentheses that belong to it.
        let first = first_clause(decider);
        let at = clauses.iter().find(|(node, _)| std::ptr::eq(*node, first)).map_or(0, |(_, clause)| clause.position);
        let position = whole.match_indices(&text).map(|(found, _)| found).take_while(|found| *found <= at).last();
        Explanation {
            truth: condition(self.root(), environment),
            decided_by: Decider { text, position: position.unwrap_or(0) },
            clauses: clauses.into_iter().map(|(_, clause)| clause).collect(),
        }
    }
}

/// The parts that a node joins; `None` for a clause.
fn joined(node: &Node) -> Option<&[Node]> {
    match node {
        Node::All(parts) | Node::Any(parts) => Some(parts),
        Node::Not(inner) if joined(inner).is_some() => Some(std::slice::from_ref(&**inner)),
        _ => None,
    }
}

fn first_clause(node: &Node) -> &Node {
    match joined(node).and_then(<[Node]>::first) {
        Some(first) => first_clause(first),
        None => node,
    }
}

fn collect<'e>(node: &'e Node, environment: &Environment<'e>, whole: &str, clauses: &mut Vec<(&'e Node, Clause)>) {
    if let Some(parts) = joined(node) {
        parts.iter().for_each(|part| collect(part, environment, whole, clauses));
        return;
    }
    let text = print::node(node);
    // Between two clauses there are operators and parentheses only.
    let from = clauses.last().map_or(0, |(_, last)| last.position + last.text.len());
    let position = whole.get(from..).and_then(|rest| rest.find(&text)).map_or(from, |found| from + found);
    let truth = condition(node, environment);
    let (mut values, mut missing) = (Vec::new(), false);
    see(node, environment, true, &mut values, &mut missing);
    let why = (truth == Truth::Error).then_some(if missing { Why::Missing } else { Why::Types });
    clauses.push((node, Clause { text, position, truth, values, why }));
}

/// The values that a clause saw, each once: of its names, and of what it calculates from them.
fn see<'e>(node: &'e Node, environment: &Environment<'e>, is_clause: bool, values: &mut Vec<Seen>, missing: &mut bool) {
    let is_made = matches!(
        node,
        Node::Calculate { .. } | Node::Negate(_) | Node::Size(_) | Node::Moment { .. } | Node::Written { .. }
    );
    if matches!(node, Node::Place(_)) || (is_made && !is_clause) {
        seen(print::node(node), &value(node, environment), values);
    }
    if let Node::Place(_) = node {
        *missing |= matches!(value(node, environment), View::Error);
    }
    if let Node::Has(place) = node {
        let place = Node::Place(place.clone());
        let shown = in_json(&value(&place, environment));
        push(print::node(&place), shown, values);
        *missing |= condition(node, environment) == Truth::Error;
    }
    node.children().iter().for_each(|child| see(child, environment, false, values, missing));
}

fn seen(text: String, view: &View<'_>, values: &mut Vec<Seen>) {
    push(text, in_json(view), values);
}

fn push(text: String, value: Option<Value>, values: &mut Vec<Seen>) {
    if !values.iter().any(|seen| seen.text == text) {
        values.push(Seen { text, value });
    }
}

fn in_json(view: &View<'_>) -> Option<Value> {
    match view {
        View::Moment(micros) => Some(Timestamp::from_micros(*micros).to_string().into()),
        View::Duration(micros) => Some(time::in_seconds(*micros).into()),
        other => other.to_json(),
    }
}

/// The smallest part whose answer makes that of the whole.
fn decider<'e>(node: &'e Node, environment: &Environment<'e>) -> &'e Node {
    let truth = condition(node, environment);
    let settles = |parts: &'e [Node], alone: Truth| {
        // One part settles it alone, or with an error that nothing outweighs.
        let wanted = if truth == alone { alone } else { Truth::Error };
        let first = (truth == wanted).then(|| parts.iter().find(|part| condition(part, environment) == wanted));
        first.flatten().map_or(node, |part| decider(part, environment))
    };
    match node {
        Node::All(parts) => settles(parts, Truth::False),
        Node::Any(parts) => settles(parts, Truth::True),
        Node::Not(inner) if joined(inner).is_some() => match decider(inner, environment) {
            part if std::ptr::eq(part, &raw const **inner) => node,
            part => part,
        },
        _ => node,
    }
}
